using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// IEEE 754 binary16 to binary32 by integer arithmetic on the bits, because the cast of <see cref="Half"/> is software code and no
/// intrinsic of .NET reaches the conversion instructions.
/// </summary>
internal static unsafe class Binary16
{
    /// <summary>2^112, what moved bits lack.</summary>
    public const float Scale = 5.192296858534828e33f;

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

    /// <summary>What sign-extended bits keep after a move by <see cref="Shift"/>: three more copies of the sign go.</summary>
    private const int Moved = unchecked((int)0x8FFF_FFFF);

    /// <summary>The exponent of what is infinite or no number.</summary>
    private const uint SpecialExponent = 255u << 23;

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

    /// <summary>
    /// Widens the numbers in the low halves of 32-bit lanes, as <see cref="ToSingle(ushort)"/>; the high halves may hold anything.
    /// </summary>
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

    /// <summary>
    /// The same numbers by a multiplication: fewer instructions, but some processors are slow where one is subnormal. For activations, which
    /// rarely are; scales often are.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ToSingleByScaling(Vector128<uint> halves)
    {
        Vector128<uint> bits = (halves & Vector128.Create(Magnitude)) << Shift;
        Vector128<uint> special = Vector128.Equals(bits & Vector128.Create(Exponent), Vector128.Create(Exponent)) & Vector128.Create(SpecialExponent);
        return (bits.AsSingle() * Scale) | (special | ((halves & Vector128.Create(Sign)) << 16)).AsSingle();
    }

    /// <inheritdoc cref="ToSingleByScaling(Vector128{uint})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToSingleByScaling(Vector256<uint> halves)
    {
        Vector256<uint> bits = (halves & Vector256.Create(Magnitude)) << Shift;
        Vector256<uint> special = Vector256.Equals(bits & Vector256.Create(Exponent), Vector256.Create(Exponent)) & Vector256.Create(SpecialExponent);
        return (bits.AsSingle() * Scale) | (special | ((halves & Vector256.Create(Sign)) << 16)).AsSingle();
    }

    /// <summary>
    /// Finite numbers as 2^-112 of themselves, exact: their exponents stay as they are. For who multiplies with something that can take
    /// <see cref="Scale"/> beforehand.
    /// </summary>
    /// <param name="halves">The numbers, sign-extended.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Widen(Vector128<int> halves) => ((halves << Shift) & Vector128.Create(Moved)).AsSingle();

    /// <inheritdoc cref="Widen(Vector128{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Widen(Vector256<int> halves) => ((halves << Shift) & Vector256.Create(Moved)).AsSingle();

    /// <inheritdoc cref="Widen(Vector128{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<int> halves) => ((halves << Shift) & Vector512.Create(Moved)).AsSingle();

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
    /// <remarks>Another way to the same numbers: here a comparison makes a mask that the next instruction applies for nothing.</remarks>
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
}
