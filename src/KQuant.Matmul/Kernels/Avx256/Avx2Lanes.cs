using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>Sixteen lanes in two 256-bit registers.</summary>
internal readonly unsafe struct Avx2Lanes(Vector256<float> low, Vector256<float> high) : IFloatLanes<Avx2Lanes>
{
    private readonly Vector256<float> _low = low;
    private readonly Vector256<float> _high = high;

    public static KernelTier Tier => KernelTier.Avx2;

    // Twelve accumulators would leave too few of the sixteen registers for the rest: eight are faster.
    public static int TileRows => 2;

    public static int TileColumns => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes Load(float* source) => new(Vector256.Load(source), Vector256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(TSource.Load256(source, index), TSource.Load256(source, index + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes Broadcast(float value) => new(Vector256.Create(value), Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes MultiplyAdd(Avx2Lanes a, Avx2Lanes b, Avx2Lanes c) =>
        new(Vector256.FusedMultiplyAdd(a._low, b._low, c._low), Vector256.FusedMultiplyAdd(a._high, b._high, c._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes Add(Avx2Lanes a, Avx2Lanes b) => new(a._low + b._low, a._high + b._high);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Avx2Lanes value, float* destination)
    {
        value._low.Store(destination);
        value._high.Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(Avx2Lanes a, Avx2Lanes b, Avx2Lanes c, Avx2Lanes d)
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
