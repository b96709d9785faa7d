using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Blocks;

/// <summary>8-bit floats as MLX reads and writes them.</summary>
internal static class Float8
{
    /// <summary>The largest E4M3 number.</summary>
    public const float MaxE4M3 = 448;

    private static readonly float[] E4M3Values = [.. Enumerable.Range(0, 256).Select(code => Decode((byte)code))];

    /// <summary>
    /// What E4M3 codes mean. Through binary16, which has the same bits and an exponent eight smaller: 0x7F, which elsewhere is no number, is 480.
    /// </summary>
    public static ReadOnlySpan<float> E4M3 => E4M3Values;

    /// <summary>The nearest E4M3 number, ties to the even mantissa; from 448 on, the largest.</summary>
    /// <param name="value">A number; one that is not is the largest too.</param>
    /// <returns>The code, with the sign of the number in bit 7.</returns>
    public static byte EncodeE4M3(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint magnitude = bits & 0x7FFF_FFFF;
        uint sign = bits >> 24 & 0x80;
        if (!(BitConverter.UInt32BitsToSingle(magnitude) < MaxE4M3))
        {
            return (byte)(sign | 0x7E);
        }

        // Below 2^-6 codes are multiples of 2^-9, which is what a float of 2^14 counts in.
        const float Shift = 16384;
        uint code = magnitude < 121u << 23
            ? BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(magnitude) + Shift) - BitConverter.SingleToUInt32Bits(Shift)
            : (magnitude + 0x7FFFF + (magnitude >> 20 & 1) >> 20) - (120 << 3);
        return (byte)(sign | code);
    }

    /// <summary><see cref="EncodeE4M3(float)"/> of sixteen finite numbers; each code in the low byte of its lane.</summary>
    public static Vector512<uint> EncodeE4M3(Vector512<float> values)
    {
        Vector512<uint> magnitude = values.AsUInt32() & Vector512.Create(0x7FFF_FFFFu), sign = (values.AsUInt32() >> 24) & Vector512.Create(0x80u);
        Vector512<float> shift = Vector512.Create(16384f);
        Vector512<uint> small = (magnitude.AsSingle() + shift).AsUInt32() - shift.AsUInt32();
        Vector512<uint> normal = ((magnitude + Vector512.Create(0x7FFFFu) + ((magnitude >> 20) & Vector512<uint>.One)) >> 20) - Vector512.Create(120u << 3);
        Vector512<uint> code = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(121u << 23)), small, normal);
        code = Vector512.ConditionalSelect(
            Vector512.LessThan(magnitude.AsSingle(), Vector512.Create(MaxE4M3)).AsUInt32(), code, Vector512.Create(0x7Eu));
        return code | sign;
    }

    /// <summary>The power of two of an E8M0 code; of 255, infinity.</summary>
    public static float DecodeE8M0(byte code) => BitConverter.UInt32BitsToSingle(code == 0 ? 0x0040_0000 : (uint)code << 23);

    private static float Decode(byte code)
    {
        float magnitude = (float)BitConverter.UInt16BitsToHalf((ushort)((code & 127) << 7)) * 256;
        return code < 128 ? magnitude : -magnitude;
    }
}
