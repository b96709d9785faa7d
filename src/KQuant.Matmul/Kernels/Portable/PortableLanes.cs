using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>Sixteen lanes in four 128-bit registers, on any machine.</summary>
internal readonly unsafe struct PortableLanes<TMultiplyAdd>(Vector128<float> q0, Vector128<float> q1, Vector128<float> q2, Vector128<float> q3)
    : IFloatLanes<PortableLanes<TMultiplyAdd>>
    where TMultiplyAdd : struct, IMultiplyAdd
{
    private readonly Vector128<float> _q0 = q0;
    private readonly Vector128<float> _q1 = q1;
    private readonly Vector128<float> _q2 = q2;
    private readonly Vector128<float> _q3 = q3;

    public static KernelTier Tier => KernelTier.Portable;

    public static bool IsFused => TMultiplyAdd.IsFused;

    public static int TileRows => 2;

    public static int TileColumns => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes<TMultiplyAdd> Load(float* source) =>
        new(Vector128.Load(source), Vector128.Load(source + 4), Vector128.Load(source + 8), Vector128.Load(source + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes<TMultiplyAdd> Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(
            TSource.Load128(source, index),
            TSource.Load128(source, index + 4),
            TSource.Load128(source, index + 8),
            TSource.Load128(source, index + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes<TMultiplyAdd> Broadcast(float value)
    {
        Vector128<float> all = Vector128.Create(value);
        return new(all, all, all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes<TMultiplyAdd> MultiplyAdd(PortableLanes<TMultiplyAdd> a, PortableLanes<TMultiplyAdd> b, PortableLanes<TMultiplyAdd> c) => new(
        TMultiplyAdd.MultiplyAdd(a._q0, b._q0, c._q0),
        TMultiplyAdd.MultiplyAdd(a._q1, b._q1, c._q1),
        TMultiplyAdd.MultiplyAdd(a._q2, b._q2, c._q2),
        TMultiplyAdd.MultiplyAdd(a._q3, b._q3, c._q3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes<TMultiplyAdd> Add(PortableLanes<TMultiplyAdd> a, PortableLanes<TMultiplyAdd> b) => new(a._q0 + b._q0, a._q1 + b._q1, a._q2 + b._q2, a._q3 + b._q3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(PortableLanes<TMultiplyAdd> value, float* destination)
    {
        value._q0.Store(destination);
        value._q1.Store(destination + 4);
        value._q2.Store(destination + 8);
        value._q3.Store(destination + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(PortableLanes<TMultiplyAdd> a, PortableLanes<TMultiplyAdd> b, PortableLanes<TMultiplyAdd> c, PortableLanes<TMultiplyAdd> d) => Vector128.Create(Sum(a), Sum(b), Sum(c), Sum(d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Sum(PortableLanes<TMultiplyAdd> a)
    {
        Vector128<float> fours = (a._q0 + a._q2) + (a._q1 + a._q3);
        Vector128<float> pairs = fours + Vector128.Shuffle(fours, Vector128.Create(2, 3, 0, 1));
        return pairs[0] + pairs[1];
    }
}
