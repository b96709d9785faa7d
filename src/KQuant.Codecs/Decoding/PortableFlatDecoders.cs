using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>The 32-wide formats with portable 128-bit vectors: codes are put together as bytes and converted.</summary>
internal static unsafe class PortableFlatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_0(byte* source, float* destination, nint blocks)
    {
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * PortableCodes.Unit;
            Vector128<byte> codes = Vector128.Load(source + 2);
            PortableCodes.Scale16((codes & Vector128.Create((byte)15)) - Vector128.Create((byte)8), d, destination);
            PortableCodes.Scale16((codes >>> 4) - Vector128.Create((byte)8), d, destination + 16);
            source += 18;
            destination += 32;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_1(byte* source, float* destination, nint blocks)
    {
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * PortableCodes.Unit;
            float m = Binary16.ToSingle(*(ushort*)(source + 2));
            Vector128<byte> codes = Vector128.Load(source + 4);
            PortableCodes.Scale16(codes & Vector128.Create((byte)15), d, m, destination);
            PortableCodes.Scale16(codes >>> 4, d, m, destination + 16);
            source += 20;
            destination += 32;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_0(byte* source, float* destination, nint blocks)
    {
        // A clear fifth bit takes 16 away: in two's complement, that is four bits set above the nibble.
        Vector128<byte> minus16 = Vector128.Create((byte)0xF0);
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * PortableCodes.Unit;
            uint fifthBits = *(uint*)(source + 2);
            Vector128<byte> codes = Vector128.Load(source + 6);
            Vector128<byte> low = (codes & Vector128.Create((byte)15)) | Vector128.AndNot(minus16, Bits(fifthBits));
            Vector128<byte> high = (codes >>> 4) | Vector128.AndNot(minus16, Bits(fifthBits >> 16));
            PortableCodes.Scale16(low, d, destination);
            PortableCodes.Scale16(high, d, destination + 16);
            source += 22;
            destination += 32;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_1(byte* source, float* destination, nint blocks)
    {
        Vector128<byte> fifth = Vector128.Create((byte)16);
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * PortableCodes.Unit;
            float m = Binary16.ToSingle(*(ushort*)(source + 2));
            uint fifthBits = *(uint*)(source + 4);
            Vector128<byte> codes = Vector128.Load(source + 8);
            Vector128<byte> low = (codes & Vector128.Create((byte)15)) | (Bits(fifthBits) & fifth);
            Vector128<byte> high = (codes >>> 4) | (Bits(fifthBits >> 16) & fifth);
            PortableCodes.Scale16(low, d, m, destination);
            PortableCodes.Scale16(high, d, m, destination + 16);
            source += 24;
            destination += 32;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q8_0(byte* source, float* destination, nint blocks)
    {
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * PortableCodes.Unit;
            PortableCodes.Scale16(Vector128.Load(source + 2), d, destination);
            PortableCodes.Scale16(Vector128.Load(source + 18), d, destination + 16);
            source += 34;
            destination += 32;
        }
        while (--blocks != 0);
    }

    /// <summary>All ones in the bytes whose bit among the lower sixteen of <paramref name="bits"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Bits(uint bits)
    {
        Vector128<byte> byteOfBits = Vector128.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        Vector128<byte> bitOfByte = Vector128.Create(0x8040_2010_0804_0201ul).AsByte();
        return Vector128.Equals(Vector128.Shuffle(Vector128.Create(bits).AsByte(), byteOfBits) & bitOfByte, bitOfByte);
    }
}
