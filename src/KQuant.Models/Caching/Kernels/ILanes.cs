using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Models.Caching.Kernels;

/// <summary>Vectors of some width; their counts divide sixteen.</summary>
internal unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    static abstract int Count { get; }

    /// <summary>Whether there are 32 registers of them, and not 16.</summary>
    static abstract bool HasManyRegisters { get; }

    static abstract TSelf Load(float* source);

    /// <summary>Loads binary16.</summary>
    static abstract TSelf Load(Half* source);

    /// <summary>Loads finite binary16 as 2^-112 of what it is, which leaves exponents as they are stored.</summary>
    static abstract TSelf LoadScaled(Half* source);

    /// <summary>Loads bfloat16.</summary>
    static abstract TSelf Load(BFloat16* source);

    static abstract TSelf Broadcast(float* source);

    /// <summary><c>a b + sum</c>.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf sum);

    static abstract TSelf Add(TSelf a, TSelf b);

    void Store(float* target);
}

/// <summary>Sixteen lanes.</summary>
internal readonly unsafe struct Lanes512(Vector512<float> value) : ILanes<Lanes512>
{
    private readonly Vector512<float> _value = value;

    public static int Count => 16;

    public static bool HasManyRegisters => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(Half* source) => new(Binary16.ToSingle(Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadScaled(Half* source) => new(Binary16.Widen(Avx512F.ConvertToVector512Int32(Vector256.Load((short*)source))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(BFloat16* source) => new((Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source)) << 16).AsSingle());

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

    public static bool HasManyRegisters => AdvSimd.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Load(float* source) => new(Vector.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Load(Half* source) => new(Vector<float>.Count == Vector256<float>.Count
        ? Binary16.ToSingleByScaling(Vector256.WidenLower(Vector128.Load((ushort*)source).ToVector256Unsafe())).AsVector()
        : Binary16.ToSingleByScaling(Vector128.WidenLower(Vector64.Load((ushort*)source).ToVector128Unsafe())).AsVector());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector LoadScaled(Half* source) => new(Vector<float>.Count == Vector256<float>.Count
        ? Binary16.Widen(Vector256.WidenLower(Vector128.Load((short*)source).ToVector256Unsafe())).AsVector()
        : Binary16.Widen(Vector128.WidenLower(Vector64.Load((short*)source).ToVector128Unsafe())).AsVector());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesOfVector Load(BFloat16* source) => new(Vector<float>.Count == Vector256<float>.Count
        ? (Vector256.WidenLower(Vector128.Load((ushort*)source).ToVector256Unsafe()) << 16).AsSingle().AsVector()
        : (Vector128.WidenLower(Vector64.Load((ushort*)source).ToVector128Unsafe()) << 16).AsSingle().AsVector());

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
