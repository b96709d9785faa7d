using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Models.Transformers;

/// <summary>Vectors of some width; their counts divide sixteen.</summary>
internal unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    static abstract int Count { get; }

    static abstract TSelf Load(float* source);

    /// <summary>Loads binary16.</summary>
    static abstract TSelf Load(Half* source);

    static abstract TSelf Broadcast(float* source);

    /// <summary><c>a b + sum</c>.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf sum);

    static abstract TSelf Add(TSelf a, TSelf b);

    void Store(float* target);
}

/// <summary>
/// From the bits of binary16, extended by their sign, to binary32: exponent and fraction move into place, and a factor of 2^112 accounts for
/// the other bias, also for subnormal numbers. What was infinite or no number gets the exponent that says so.
/// </summary>
internal static class HalfBits
{
    public const int Shift = 13;
    public const int Mask = unchecked((int)0x8FFFE000);
    public const float Scale = 5.192296858534828e33f;
    public const int Exponent = 0x7C00;
    public const int FloatExponent = 0x7F800000;
}

/// <summary>Sixteen lanes.</summary>
internal readonly unsafe struct Lanes512(Vector512<float> value) : ILanes<Lanes512>
{
    private readonly Vector512<float> _value = value;

    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(Half* source)
    {
        Vector512<int> bits = Avx512F.ConvertToVector512Int32(Vector256.Load((short*)source));
        Vector512<float> scaled = ((bits << HalfBits.Shift) & Vector512.Create(HalfBits.Mask)).AsSingle() * HalfBits.Scale;
        Vector512<int> special = Vector512.Equals(bits & Vector512.Create(HalfBits.Exponent), Vector512.Create(HalfBits.Exponent));
        return new((scaled.AsInt32() | (special & Vector512.Create(HalfBits.FloatExponent))).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Broadcast(float* source) => new(Vector512.Create(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MultiplyAdd(Lanes512 a, Lanes512 b, Lanes512 sum) =>
        new(Vector512.MultiplyAddEstimate(a._value, b._value, sum._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Add(Lanes512 a, Lanes512 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target) => _value.Store(target);
}

/// <summary>As many lanes as the machine's <see cref="Vector{T}"/> has: four or eight.</summary>
internal readonly unsafe struct LanesOfVector(Vector<float> value) : ILanes<LanesOfVector>
{
    private readonly Vector<float> _value = value;

    public static int Count => Vector<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Load(float* source) => new(Vector.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Load(Half* source)
    {
        Vector<int> bits = Vector<int>.Count == Vector256<int>.Count
            ? Vector256.WidenLower(Vector128.Load((short*)source).ToVector256Unsafe()).AsVector()
            : Vector128.WidenLower(Vector64.Load((short*)source).ToVector128Unsafe()).AsVector();
        Vector<float> scaled = Vector.AsVectorSingle((bits << HalfBits.Shift) & Vector.Create(HalfBits.Mask)) * HalfBits.Scale;
        Vector<int> special = Vector.Equals(bits & Vector.Create(HalfBits.Exponent), Vector.Create(HalfBits.Exponent));
        return new(Vector.AsVectorSingle(Vector.AsVectorInt32(scaled) | (special & Vector.Create(HalfBits.FloatExponent))));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Broadcast(float* source) => new(Vector.Create(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector MultiplyAdd(LanesOfVector a, LanesOfVector b, LanesOfVector sum) =>
        new(Vector.MultiplyAddEstimate(a._value, b._value, sum._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Add(LanesOfVector a, LanesOfVector b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target) => _value.Store(target);
}
