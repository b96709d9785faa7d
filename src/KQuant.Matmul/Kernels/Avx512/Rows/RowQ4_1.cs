using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ4_1 : IAvx512FlatRowFormat
{
    public static QuantFormat Format => QuantFormat.Q4_1;

    public static bool IsSupported => KernelTiers.IsSupported(KernelTier.Avx512);

    public static int BlockBytes => 20;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static bool StartsAtOffset => false;

    public static Vector512<byte> Order => Avx512FlatRowTools.InTwo(Avx512FlatRowTools.Order(BlockBytes, 4), BlockBytes);

    public static Vector512<byte> HighOrder => default;

    public static Vector512<byte> FactorOrder => Avx512FlatRowTools.WordOrder(BlockBytes, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> GatherFactors(byte* blocks, Vector512<byte> order) =>
        Avx512Vbmi.PermuteVar64x8(Vector512.Load(blocks), order).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourBlocks Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder) =>
        Avx512FlatRowTools.Nibbles(Avx512FlatRowTools.Gather(blocks, BlockBytes, order));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> y, in FourBlocks codes, byte* x, Vector512<float> scales, Vector512<short> ones) =>
        Avx512FlatRowTools.Add(y, codes, x, scales, ones);
}
