using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Sixteen lanes in one 512-bit register.</summary>
internal readonly unsafe struct Avx512Lanes(Vector512<float> all) : IFloatLanes<Avx512Lanes>
{
    private readonly Vector512<float> _all = all;

    public static KernelTier Tier => KernelTier.Avx512;

    public static int TileRows => 6;

    public static int TileColumns => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx512Lanes Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx512Lanes Load<TSource>(byte* source, nint index)
        where TSource : struct, IFloatSource => new(TSource.Load512(source, index));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx512Lanes Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx512Lanes MultiplyAdd(Avx512Lanes a, Avx512Lanes b, Avx512Lanes c) => new(Vector512.FusedMultiplyAdd(a._all, b._all, c._all));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx512Lanes Add(Avx512Lanes a, Avx512Lanes b) => new(a._all + b._all);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Avx512Lanes value, float* destination) => value._all.Store(destination);

    // Pairs of accumulators are halved together: 14 instructions for four sums.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum(Avx512Lanes a, Avx512Lanes b, Avx512Lanes c, Avx512Lanes d)
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
