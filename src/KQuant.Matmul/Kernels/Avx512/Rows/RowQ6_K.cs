using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ6_K : IAvx512RowFormat
{
    public static QuantFormat Format => QuantFormat.Q6_K;

    public static int BlockBytes => 210;

    public static int MinPairs => 0;

    public static byte Offset => 32;

    public static int ScaleBytes => 0;

    public static ReadOnlySpan<byte> Order => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(byte* blocks, int count, SmallPrint* print)
    {
        Binary16.ToSingle(Avx512RowTools.LoadLast(blocks + 194, BlockBytes, count, print->Gathered) >>> 16).Store(print->D);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, byte* scales,
        out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3)
    {
        // Two high bits of planes 0 and 2 in the first half, of 1 and 3 in the second.
        Vector512<byte> four = Vector512.Create((byte)15), two = Vector512.Create((byte)48);
        Vector512<byte> a = Vector512.Load(block), b = Vector512.Load(block + 64);
        Vector512<ushort> high0 = Avx512RowTools.Halves(block + 128, 2), high1 = Avx512RowTools.Halves(block + 160, 2);
        c0 = (a & four) | ((high0 << 4).AsByte() & two);
        c1 = ((a.AsUInt16() >>> 4).AsByte() & four) | (high0.AsByte() & two);
        c2 = (b & four) | ((high1 << 4).AsByte() & two);
        c3 = ((b.AsUInt16() >>> 4).AsByte() & four) | (high1.AsByte() & two);

        Vector256<short> numbers = Avx2.ConvertToVector256Int16((sbyte*)(block + 192));
        s0 = Avx512RowTools.Spread(numbers, 0, 1, 2, 3);
        s1 = Avx512RowTools.Spread(numbers, 4, 5, 6, 7);
        s2 = Avx512RowTools.Spread(numbers, 8, 9, 10, 11);
        s3 = Avx512RowTools.Spread(numbers, 12, 13, 14, 15);
    }
}
