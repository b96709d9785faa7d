using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Rows.Avx512;

internal readonly unsafe struct RowQ4_0 : IAvx512FlatRowFormat<NibbleCodes>
{
    private const int Offset = 8;

    public static QuantFormat Format => QuantFormat.Q4_0;

    public static bool IsSupported => KernelTiers.IsSupported(KernelTier.Avx512);

    public static int BlockBytes => 18;

    public static bool HasMin => false;

    public static int PartBytes => Avx512FlatRowTools.PartBytes(Offset);

    public static Vector512<byte> Order => Avx512FlatRowTools.Order(BlockBytes, 2);

    public static Vector512<byte> HighOrder => default;

    public static Vector512<int> ScaleOrder => Avx512FlatRowTools.ScaleOrder;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleCodes Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder) =>
        Avx512FlatRowTools.Nibbles(Avx512FlatRowTools.Gather(blocks, BlockBytes, order));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> y, in NibbleCodes codes, byte* x, Vector512<float> scales, Vector512<int> lanes) =>
        Avx512FlatRowTools.Add(y, codes, x, scales, lanes, Offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ArrangePart(sbyte* codes, byte* x) => Avx512FlatRowTools.Arrange(codes, x, Offset);
}
