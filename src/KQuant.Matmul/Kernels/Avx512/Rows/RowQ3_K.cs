using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ3_K : IAvx512RowFormat
{
    public static QuantFormat Format => QuantFormat.Q3_K;

    public static int BlockBytes => 110;

    public static int MinPairs => 0;

    public static byte Offset => 4;

    public static int ScaleBytes => 16;

    public static ReadOnlySpan<byte> Order => [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(byte* blocks, int count, SmallPrint* print)
    {
        Avx512RowTools.Load(blocks + 92, BlockBytes, count, print->Gathered, out _, out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> high);
        Binary16.ToSingle(Avx512RowTools.LoadLast(blocks + 94, BlockBytes, count, print->Gathered + 256) >>> 16).Store(print->D);

        Vector512<uint> fourBits = Vector512.Create(0x0F0F0F0Fu), highTwo = Vector512.Create(0x30303030u);
        Vector512<byte> bias = Vector512.Create((byte)32);
        Vector512<byte> scales0 = ((a & fourBits) | ((high << 4) & highTwo)).AsByte() - bias;
        Vector512<byte> scales1 = ((b & fourBits) | ((high << 2) & highTwo)).AsByte() - bias;
        Vector512<byte> scales2 = (((a >>> 4) & fourBits) | (high & highTwo)).AsByte() - bias;
        Vector512<byte> scales3 = (((b >>> 4) & fourBits) | ((high >>> 2) & highTwo)).AsByte() - bias;
        Avx512RowTools.StoreBlocks(scales0.AsUInt32(), scales1.AsUInt32(), scales2.AsUInt32(), scales3.AsUInt32(), print->Scales);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, byte* scales,
        out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3)
    {
        // Third bits of half 0 in the low nibbles of the first half, those of half 1 in the low nibbles of the second.
        Vector512<byte> two = Vector512.Create((byte)3), third = Vector512.Create((byte)4);
        Vector512<ushort> codes = Vector512.Load((ushort*)(block + 32));
        Vector512<ushort> bits = Avx512RowTools.Halves(block, 4);
        c0 = (codes.AsByte() & two) | ((bits << 2).AsByte() & third);
        c1 = ((codes >>> 2).AsByte() & two) | ((bits << 1).AsByte() & third);
        c2 = ((codes >>> 4).AsByte() & two) | (bits.AsByte() & third);
        c3 = ((codes >>> 6).AsByte() & two) | ((bits >>> 1).AsByte() & third);

        Vector256<short> numbers = Avx2.ConvertToVector256Int16((sbyte*)scales);
        s0 = Avx512RowTools.Spread(numbers, 0, 1, 8, 9);
        s1 = Avx512RowTools.Spread(numbers, 2, 3, 10, 11);
        s2 = Avx512RowTools.Spread(numbers, 4, 5, 12, 13);
        s3 = Avx512RowTools.Spread(numbers, 6, 7, 14, 15);
    }
}
