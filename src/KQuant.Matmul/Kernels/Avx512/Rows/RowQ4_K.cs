using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ4_K : IAvx512RowFormat
{
    public static QuantFormat Format => QuantFormat.Q4_K;

    public static int BlockBytes => 144;

    public static int MinPairs => 4;

    public static byte Offset => 0;

    public static int ScaleBytes => 8;

    public static ReadOnlySpan<byte> Order => [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(byte* blocks, int count, SmallPrint* print)
    {
        Avx512RowTools.ReadScales12(blocks, BlockBytes, count, print);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, byte* scales,
        out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        Vector512<byte> a = Vector512.Load(block + 16), b = Vector512.Load(block + 80);
        c0 = a & low;
        c1 = (a.AsUInt16() >>> 4).AsByte() & low;
        c2 = b & low;
        c3 = (b.AsUInt16() >>> 4).AsByte() & low;

        Vector512<byte> bytes = Vector512.Create(*(ulong*)scales).AsByte();
        s0 = Avx512RowTools.Spread(bytes, 0, 0, 2, 2);
        s1 = Avx512RowTools.Spread(bytes, 1, 1, 3, 3);
        s2 = Avx512RowTools.Spread(bytes, 4, 4, 6, 6);
        s3 = Avx512RowTools.Spread(bytes, 5, 5, 7, 7);
    }
}
