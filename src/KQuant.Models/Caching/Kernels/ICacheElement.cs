using System.Runtime.CompilerServices;

namespace KQuant.Models.Caching.Kernels;

/// <summary>How a kernel loads from a cache.</summary>
internal unsafe interface ICacheElement
{
    /// <summary>Bytes of an element.</summary>
    static abstract int Size { get; }

    /// <summary>Consecutive elements, as floats.</summary>
    static abstract TLanes Load<TLanes>(CacheSpan source, nint index)
        where TLanes : struct, ILanes<TLanes>;
}

/// <summary>A cache in float32.</summary>
internal readonly unsafe struct FloatElement : ICacheElement
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(CacheSpan source, nint index)
        where TLanes : struct, ILanes<TLanes> => TLanes.Load(source.Floats + index);
}

/// <summary>A cache in binary16.</summary>
internal readonly unsafe struct HalfElement : ICacheElement
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(CacheSpan source, nint index)
        where TLanes : struct, ILanes<TLanes> => TLanes.Load(source.Halves + index);
}

/// <summary>A cache in finite binary16, whose numbers are loaded as 2^-112 of themselves: three instructions instead of eleven.</summary>
internal readonly unsafe struct ScaledHalfElement : ICacheElement
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(CacheSpan source, nint index)
        where TLanes : struct, ILanes<TLanes> => TLanes.LoadScaled(source.Halves + index);
}

/// <summary>A cache in bfloat16.</summary>
internal readonly unsafe struct BFloat16Element : ICacheElement
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(CacheSpan source, nint index)
        where TLanes : struct, ILanes<TLanes> => TLanes.Load(source.BFloats + index);
}
