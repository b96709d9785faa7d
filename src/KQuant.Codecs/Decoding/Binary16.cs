using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// IEEE 754 binary16 to binary32 by integer arithmetic on the bits, because the cast of <see cref="Half"/> is software code and no
/// intrinsic of .NET reaches the conversion instructions.
/// </summary>
internal static unsafe class Binary16
{
    private const uint Sign = 0x8000;
    private const uint Magnitude = 0x7FFF;

    /// <summary>The exponent of binary16 after a move by <see cref="Shift"/>: bits 23 to 27, where binary32 has its own.</summary>
    private const uint Exponent = 0x0F80_0000;

    /// <summary>From the mantissa of binary16 to that of binary32.</summary>
    private const int Shift = 13;

    /// <summary>The smallest exponent that is not zero, in the same place.</summary>
    private const uint ImplicitBit = 0x0080_0000;

    /// <summary>What the exponent biases differ by, 112.</summary>
    private const uint Rebias = 112u << 23;

    /// <summary>2^-14, the smallest normal binary16, as bits.</summary>
    private const uint SmallestNormal = 113u << 23;

    /// <summary>2^112, which makes a value of <see cref="ScaledBroadcast(byte*, ref Vector512{float})"/> whole again.</summary>
    public const float Unscale = 5.192296858534828e33f;

    /// <summary>The sign, exponent and mantissa of binary16 where an arithmetic shift right by 3 leaves them in a 32-bit lane.</summary>
    private const uint Fields = 0x8FFF_E000;

    /// <summary>The control of <see cref="Avx512DQ.Range(Vector512{float}, Vector512{float}, byte)"/> that keeps the larger magnitude.</summary>
    private const byte LargestMagnitude = 0b1011;

    /// <summary>Widens one number; exact.</summary>
    public static float ToSingle(ushort half)
    {
        uint bits = (half & Magnitude) << Shift;

        // 1 or 0, and no branches: scales of both kinds meet in one tensor. A subnormal gets an implicit bit it does not have, which the
        // subtraction takes away again; infinity and NaN get the largest exponent.
        uint subnormal = ((bits & Exponent) - 1) >> 31;
        uint special = (bits + ImplicitBit) >> 28;
        uint bias = Rebias + (special * Rebias) + (subnormal * ImplicitBit);
        float magnitude = BitConverter.UInt32BitsToSingle(bits + bias) - BitConverter.UInt32BitsToSingle(subnormal * SmallestNormal);
        return BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(magnitude) | ((half & Sign) << 16));
    }

    /// <summary>Widens the numbers in the low halves of 32-bit lanes, as <see cref="ToSingle(ushort)"/>; the high halves may hold anything.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ToSingle(Vector128<uint> halves)
    {
        Vector128<uint> bits = (halves & Vector128.Create(Magnitude)) << Shift;
        Vector128<uint> exponent = bits & Vector128.Create(Exponent);
        Vector128<uint> implicitBit = Vector128.Equals(exponent, Vector128<uint>.Zero) & Vector128.Create(SmallestNormal);
        Vector128<uint> special = Vector128.Equals(exponent, Vector128.Create(Exponent)) & Vector128.Create(Rebias);
        Vector128<uint> bias = Vector128.Max(implicitBit, special + Vector128.Create(Rebias));
        Vector128<float> magnitude = (bits + bias).AsSingle() - implicitBit.AsSingle();
        return magnitude | ((halves & Vector128.Create(Sign)) << 16).AsSingle();
    }

    /// <inheritdoc cref="ToSingle(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToSingle(Vector256<uint> halves)
    {
        Vector256<uint> bits = (halves & Vector256.Create(Magnitude)) << Shift;
        Vector256<uint> exponent = bits & Vector256.Create(Exponent);
        Vector256<uint> implicitBit = Vector256.Equals(exponent, Vector256<uint>.Zero) & Vector256.Create(SmallestNormal);
        Vector256<uint> special = Vector256.Equals(exponent, Vector256.Create(Exponent)) & Vector256.Create(Rebias);
        Vector256<uint> bias = Vector256.Max(implicitBit, special + Vector256.Create(Rebias));
        Vector256<float> magnitude = (bits + bias).AsSingle() - implicitBit.AsSingle();
        return magnitude | ((halves & Vector256.Create(Sign)) << 16).AsSingle();
    }

    /// <inheritdoc cref="ToSingle(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ToSingle(Vector512<uint> halves)
    {
        Vector512<uint> bits = (halves & Vector512.Create(Magnitude)) << Shift;
        Vector512<uint> normal = bits + Vector512.Create(Rebias);
        Vector512<uint> special = Vector512.ConditionalSelect(
            Vector512.GreaterThanOrEqual(bits, Vector512.Create(Exponent)), normal + Vector512.Create(Rebias), normal);
        Vector512<float> subnormal = (bits + Vector512.Create(SmallestNormal)).AsSingle() - Vector512.Create(SmallestNormal).AsSingle();
        Vector512<float> magnitude = Vector512.ConditionalSelect(
            Vector512.LessThan(bits, Vector512.Create(ImplicitBit)).AsSingle(), subnormal, special.AsSingle());
        return Vector512.ConditionalSelect(Vector512.Create(0x8000_0000u).AsSingle(), (halves << 16).AsSingle(), magnitude);
    }

    /// <summary>
    /// The finite number at <paramref name="half"/> times 2^-112, in every lane: its fields moved to where binary32 has them, the biases
    /// left unequal, in three instructions. The caller's own multiplication brings <see cref="Unscale"/> in for nothing. What that gives is
    /// wrong for infinities and NaNs; <paramref name="largest"/> gathers magnitudes, and <see cref="AllFinite(Vector512{float})"/> says
    /// afterwards whether there was one.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ScaledBroadcast(byte* half, ref Vector512<float> largest)
    {
        Vector512<int> doubled = Vector512.Create(*(short*)half).AsInt32();
        Vector512<float> scaled = ((doubled >> 3) & Vector512.Create(Fields).AsInt32()).AsSingle();
        largest = Avx512DQ.Range(largest, scaled, LargestMagnitude);
        return scaled;
    }

    /// <summary>As <see cref="ScaledBroadcast(byte*, ref Vector512{float})"/>; bit 28 of <paramref name="seen"/> remembers the others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ScaledBroadcast(byte* half, ref Vector256<uint> seen)
    {
        Vector256<int> doubled = Vector256.Create(*(short*)half).AsInt32();
        Vector256<uint> scaled = (doubled >> 3).AsUInt32() & Vector256.Create(Fields);
        seen |= scaled + Vector256.Create(ImplicitBit);
        return scaled.AsSingle();
    }

    /// <summary>As <see cref="ScaledBroadcast(byte*, ref Vector512{float})"/>, two neighbouring numbers in lanes 0 and 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ScaledPair(byte* halves, ref Vector128<float> largest)
    {
        Vector128<short> pair = Vector128.CreateScalarUnsafe(*(int*)halves).AsInt16();
        Vector128<int> doubled = Sse2.UnpackLow(pair, pair).AsInt32();
        Vector128<float> scaled = ((doubled >> 3) & Vector128.Create(Fields).AsInt32()).AsSingle();
        largest = Avx512DQ.VL.Range(largest, scaled, LargestMagnitude);
        return scaled;
    }

    /// <summary>Whether none of the numbers seen was an infinity or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllFinite(Vector512<float> largest) => largest.AsUInt32().ToScalar() < Exponent;

    /// <inheritdoc cref="AllFinite(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllFinite(Vector128<float> largest) =>
        !Vector128.GreaterThanOrEqualAny(largest.AsUInt32(), Vector128.Create(Exponent));

    /// <inheritdoc cref="AllFinite(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AllFinite(Vector256<uint> seen) => (seen.ToScalar() & (1u << 28)) == 0;
}
