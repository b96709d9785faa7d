using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ2_K : IAvx512RowFormat
{
    public static QuantFormat Format => QuantFormat.Q2_K;

    public static int BlockBytes => 84;

    public static int MinPairs => 8;

    public static byte Offset => 0;

    public static int ScaleBytes => 0;

    public static ReadOnlySpan<byte> Order => [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(byte* blocks, int count, SmallPrint* print)
    {
        Vector512<uint> fourBits = Vector512.Create(0x0F0F0F0Fu);
        Avx512RowTools.Load(
            blocks, BlockBytes, count, print->Gathered,
            out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c, out Vector512<uint> d);
        Avx512Scales.StorePairs((a >>> 4) & fourBits, (byte*)print->Mins);
        Avx512Scales.StorePairs((b >>> 4) & fourBits, (byte*)(print->Mins + 64));
        Avx512Scales.StorePairs((c >>> 4) & fourBits, (byte*)(print->Mins + 128));
        Avx512Scales.StorePairs((d >>> 4) & fourBits, (byte*)(print->Mins + 192));
        Avx512RowTools.StorePair(Avx512RowTools.LoadLast(blocks + 68, BlockBytes, count, print->Gathered + 256), print);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, byte* scales,
        out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3)
    {
        Vector512<byte> two = Vector512.Create((byte)3);
        Vector512<ushort> codes = Vector512.Load((ushort*)(block + 16));
        c0 = codes.AsByte() & two;
        c1 = (codes >>> 2).AsByte() & two;
        c2 = (codes >>> 4).AsByte() & two;
        c3 = (codes >>> 6).AsByte() & two;

        Vector512<byte> bytes = Avx512F.BroadcastVector128ToVector512((uint*)block).AsByte() & Vector512.Create((byte)15);
        s0 = Avx512RowTools.Spread(bytes, 0, 1, 8, 9);
        s1 = Avx512RowTools.Spread(bytes, 2, 3, 10, 11);
        s2 = Avx512RowTools.Spread(bytes, 4, 5, 12, 13);
        s3 = Avx512RowTools.Spread(bytes, 6, 7, 14, 15);
    }
}
