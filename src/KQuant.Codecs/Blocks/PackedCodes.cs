using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Blocks;

/// <summary>Ways to pack codes that several formats share.</summary>
internal static class PackedCodes
{
    /// <summary>The flat formats: byte j takes the low four bits of code j and, above them, those of code j + 16.</summary>
    public static void PackNibbles32(ReadOnlySpan<byte> codes, Span<byte> packed)
    {
        Vector128<byte> low = Vector128.Create(codes[..16]) & Vector128.Create((byte)15);
        Vector128<byte> high = Vector128.Create(codes[16..]) << 4;
        (low | high).CopyTo(packed);
    }

    /// <summary>q5_0, q5_1: bit i is the fifth bit of code i.</summary>
    public static uint FifthBits32(ReadOnlySpan<byte> codes) => (Vector256.Create(codes) << 3).ExtractMostSignificantBits();

    /// <summary>q4_K, q5_K: each run of 32 bytes takes the low four bits of one sub-block and, above them, those of the next.</summary>
    public static void PackNibbles256(ReadOnlySpan<byte> codes, Span<byte> packed)
    {
        for (int j = 0; j < 128; j += 16)
        {
            int i = (j / 32 * 64) + (j % 32);
            ((Vector128.Create(codes[i..]) & Vector128.Create((byte)15)) | (Vector128.Create(codes[(i + 32)..]) << 4)).CopyTo(packed[j..]);
        }
    }

    /// <summary>q2_K, q3_K: byte l of each half takes two bits of its codes l, l + 32, l + 64, l + 96, lowest first.</summary>
    public static void PackPairs256(ReadOnlySpan<byte> codes, Span<byte> packed)
    {
        var pair = Vector128.Create((byte)3);
        for (int j = 0; j < 64; j += 16)
        {
            int i = (j / 32 * 128) + (j % 32);
            Vector128<byte> bits = (Vector128.Create(codes[i..]) & pair)
                | ((Vector128.Create(codes[(i + 32)..]) & pair) << 2)
                | ((Vector128.Create(codes[(i + 64)..]) & pair) << 4)
                | (Vector128.Create(codes[(i + 96)..]) << 6);
            bits.CopyTo(packed[j..]);
        }
    }

    /// <summary>q3_K, q5_K: bit i / 32 of byte i % 32 is one bit of code i.</summary>
    public static void PackBit256(ReadOnlySpan<byte> codes, int bit, Span<byte> packed)
    {
        for (int l = 0; l < 32; l += 16)
        {
            Vector128<byte> bits = Vector128<byte>.Zero;
            for (int j = 0; j < 8; j++)
            {
                bits |= ((Vector128.Create(codes[((32 * j) + l)..]) >>> bit) & Vector128<byte>.One) << j;
            }

            bits.CopyTo(packed[l..]);
        }
    }
}
