using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>Sixteen lanes in one 512-bit register.</summary>
internal readonly unsafe struct Lanes512(Vector512<float> all) : IFloatLanes<Lanes512>
{
    private readonly Vector512<float> _all = all;

    public static KernelTier Tier => KernelTier.Avx512;

    public static int TileRows => 6;

    public static int TileColumns => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(TSource.Load512(source, index));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MultiplyAdd(Lanes512 a, Lanes512 b, Lanes512 c) => new(Vector512.FusedMultiplyAdd(a._all, b._all, c._all));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Add(Lanes512 a, Lanes512 b) => new(a._all + b._all);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes512 value, float* destination) => value._all.Store(destination);

    // Pairs of accumulators are halved together: 14 instructions for four sums.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(Lanes512 a, Lanes512 b, Lanes512 c, Lanes512 d)
    {
        Vector512<float> ab = Halve256(a._all, b._all);
        Vector512<float> cd = Halve256(c._all, d._all);
        Vector512<float> abcd = Avx512F.Shuffle4x128(ab, cd, 0b10_00_10_00) + Avx512F.Shuffle4x128(ab, cd, 0b11_01_11_01);
        abcd += Avx512F.Permute4x32(abcd, 0b01_00_11_10);
        abcd += Avx512F.Permute4x32(abcd, 0b10_11_00_01);
        return Avx512F.PermuteVar16x32(abcd, Vector512.Create(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12)).GetLower().GetLower();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Halve256(Vector512<float> a, Vector512<float> b) =>
        Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);
}

/// <summary>Sixteen lanes in two 256-bit registers.</summary>
internal readonly unsafe struct Lanes256(Vector256<float> low, Vector256<float> high) : IFloatLanes<Lanes256>
{
    private readonly Vector256<float> _low = low;
    private readonly Vector256<float> _high = high;

    public static KernelTier Tier => KernelTier.Avx2;

    // Twelve accumulators would leave too few of the sixteen registers for the rest: eight are faster.
    public static int TileRows => 2;

    public static int TileColumns => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* source) => new(Vector256.Load(source), Vector256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(TSource.Load256(source, index), TSource.Load256(source, index + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Broadcast(float value) => new(Vector256.Create(value), Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MultiplyAdd(Lanes256 a, Lanes256 b, Lanes256 c) =>
        new(Vector256.FusedMultiplyAdd(a._low, b._low, c._low), Vector256.FusedMultiplyAdd(a._high, b._high, c._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Add(Lanes256 a, Lanes256 b) => new(a._low + b._low, a._high + b._high);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes256 value, float* destination)
    {
        value._low.Store(destination);
        value._high.Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(Lanes256 a, Lanes256 b, Lanes256 c, Lanes256 d)
    {
        Vector256<float> ab = Halve(a._low + a._high, b._low + b._high);
        Vector256<float> cd = Halve(c._low + c._high, d._low + d._high);
        ab += Avx.Permute(ab, 0b01_00_11_10);
        cd += Avx.Permute(cd, 0b01_00_11_10);
        Vector256<float> acbd = Avx.Shuffle(ab, cd, 0b00_00_00_00) + Avx.Shuffle(ab, cd, 0b01_01_01_01);
        return Sse.MoveLowToHigh(
            Sse.UnpackLow(acbd.GetLower(), acbd.GetUpper()), Sse.UnpackHigh(acbd.GetLower(), acbd.GetUpper()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Halve(Vector256<float> a, Vector256<float> b) =>
        Avx.Permute2x128(a, b, 0x20) + Avx.Permute2x128(a, b, 0x31);
}

/// <summary>Sixteen lanes in four 128-bit registers, on any machine.</summary>
internal readonly unsafe struct Lanes128(Vector128<float> q0, Vector128<float> q1, Vector128<float> q2, Vector128<float> q3)
    : IFloatLanes<Lanes128>
{
    private readonly Vector128<float> _q0 = q0;
    private readonly Vector128<float> _q1 = q1;
    private readonly Vector128<float> _q2 = q2;
    private readonly Vector128<float> _q3 = q3;

    public static KernelTier Tier => KernelTier.Vector128;

    public static int TileRows => 2;

    public static int TileColumns => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load(float* source) =>
        new(Vector128.Load(source), Vector128.Load(source + 4), Vector128.Load(source + 8), Vector128.Load(source + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(
            TSource.Load128(source, index),
            TSource.Load128(source, index + 4),
            TSource.Load128(source, index + 8),
            TSource.Load128(source, index + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Broadcast(float value)
    {
        Vector128<float> all = Vector128.Create(value);
        return new(all, all, all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 MultiplyAdd(Lanes128 a, Lanes128 b, Lanes128 c) => new(
        Vector128.FusedMultiplyAdd(a._q0, b._q0, c._q0),
        Vector128.FusedMultiplyAdd(a._q1, b._q1, c._q1),
        Vector128.FusedMultiplyAdd(a._q2, b._q2, c._q2),
        Vector128.FusedMultiplyAdd(a._q3, b._q3, c._q3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Add(Lanes128 a, Lanes128 b) => new(a._q0 + b._q0, a._q1 + b._q1, a._q2 + b._q2, a._q3 + b._q3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes128 value, float* destination)
    {
        value._q0.Store(destination);
        value._q1.Store(destination + 4);
        value._q2.Store(destination + 8);
        value._q3.Store(destination + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(Lanes128 a, Lanes128 b, Lanes128 c, Lanes128 d) => Vector128.Create(Sum(a), Sum(b), Sum(c), Sum(d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Sum(Lanes128 a)
    {
        Vector128<float> fours = (a._q0 + a._q2) + (a._q1 + a._q3);
        Vector128<float> pairs = fours + Vector128.Shuffle(fours, Vector128.Create(2, 3, 0, 1));
        return pairs[0] + pairs[1];
    }
}
