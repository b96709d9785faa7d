using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>Signs of one bit.</summary>
internal static unsafe class SignRow
{
    private static readonly float[] Signs = [-1, 1];

    /// <summary>Plus or minus a number for each bit, the lowest first.</summary>
    /// <param name="bits">The bits; 1 is plus.</param>
    /// <param name="value">The number.</param>
    /// <param name="values">Receives as many as it has room for.</param>
    public static void Decode(byte* bits, float value, Span<float> values)
    {
        Span<byte> codes = stackalloc byte[values.Length];
        BitPacking.Unpack(new ReadOnlySpan<byte>(bits, (values.Length + 7) / 8), 1, codes);
        RotationKernel.Best.LookUp(codes, Signs, value, values);
    }
}
