using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The scale of a 32-wide block, read as if it were finite. Such blocks are so small that an exact conversion (see
/// <see cref="Binary16"/>) would cost as much as the rest of them. Three instructions move sign, exponent and mantissa to where binary32
/// has them and leave the biases unequal, which makes the number 2^112 times too small; the multiplication that a scale meets anyway
/// makes up for it. Subnormals come out right, infinities and NaNs do not: each method gathers what tells whether it saw one, and a
/// caller that was told so decodes again with <see cref="ScalarDecoders"/>.
/// </summary>
/// <remarks>
/// A multiplication by a subnormal scale takes some processors longer, but in 32-wide formats only nearly empty blocks have one.
/// </remarks>
internal static unsafe class FiniteScale
{
    /// <summary>2^112.</summary>
    public const float Unscale = 5.192296858534828e33f;

    /// <summary>Sign, exponent and mantissa of a binary16 in the upper half of a lane, after an arithmetic shift right by 3.</summary>
    private const uint Fields = 0x8FFF_E000;

    /// <summary>The exponent among them; in an infinity or NaN, all of it is set.</summary>
    private const uint Exponent = 0x0F80_0000;

    /// <summary>The lowest bit of the exponent.</summary>
    private const uint ExponentOne = 0x0080_0000;

    /// <summary>Where adding that bit to an exponent that is all ones carries to.</summary>
    private const uint Carry = 0x1000_0000;

    /// <summary>
    /// The control of <see cref="Avx512DQ.Range(Vector512{float}, Vector512{float}, byte)"/> that keeps the larger magnitude.
    /// </summary>
    private const byte LargerMagnitude = 0b1011;

    /// <summary>The number at <paramref name="half"/> times 2^-112, in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Broadcast(byte* half, ref Vector512<float> largest)
    {
        Vector512<int> twice = Vector512.Create(*(short*)half).AsInt32();
        Vector512<float> scaled = ((twice >> 3) & Vector512.Create(Fields).AsInt32()).AsSingle();
        largest = Avx512DQ.Range(largest, scaled, LargerMagnitude);
        return scaled;
    }

    /// <summary>The number at <paramref name="half"/> times 2^-112, in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Broadcast(byte* half, ref Vector256<uint> carries)
    {
        Vector256<int> twice = Vector256.Create(*(short*)half).AsInt32();
        Vector256<uint> scaled = (twice >> 3).AsUInt32() & Vector256.Create(Fields);
        carries |= scaled + Vector256.Create(ExponentOne);
        return scaled.AsSingle();
    }

    /// <summary>Whether all numbers seen were finite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool All(Vector512<float> largest) => largest.AsUInt32().ToScalar() < Exponent;

    /// <inheritdoc cref="All(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool All(Vector256<uint> carries) => (carries.ToScalar() & Carry) == 0;
}
