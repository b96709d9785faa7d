using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Rows.Avx512;

/// <summary>Four blocks of 8-bit codes, 128 added to each.</summary>
internal readonly struct ByteCodes(Vector256<byte> block0, Vector256<byte> block1, Vector256<byte> block2, Vector256<byte> block3)
{
    public readonly Vector256<byte> Block0 = block0;

    public readonly Vector256<byte> Block1 = block1;

    public readonly Vector256<byte> Block2 = block2;

    public readonly Vector256<byte> Block3 = block3;
}

internal readonly unsafe struct RowQ8_0 : IAvx512FlatRowFormat<ByteCodes>
{
    public static QuantFormat Format => QuantFormat.Q8_0;

    public static bool IsSupported => KernelTiers.IsSupported(KernelTier.Avx512) && AvxVnni.IsSupported;

    public static int BlockBytes => 34;

    public static bool HasMin => false;

    // Codes, and what the dot product of each lane starts from.
    public static int PartBytes => 256;

    public static Vector512<byte> Order => default;

    public static Vector512<byte> HighOrder => default;

    // Eight lanes to a block.
    public static Vector512<int> ScaleOrder => Vector512<int>.Indices >>> 3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ByteCodes Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder)
    {
        Vector256<byte> sign = Vector256.Create((byte)0x80);
        return new ByteCodes(
            Vector256.Load(blocks + 2) ^ sign, Vector256.Load(blocks + 36) ^ sign,
            Vector256.Load(blocks + 70) ^ sign, Vector256.Load(blocks + 104) ^ sign);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> y, in ByteCodes codes, byte* x, Vector512<float> scales, Vector512<int> lanes)
    {
        y = Avx512F.FusedMultiplyAdd(Dot(codes.Block0, codes.Block1, x), Avx512F.PermuteVar16x32(scales, lanes), y);
        return Avx512F.FusedMultiplyAdd(Dot(codes.Block2, codes.Block3, x + 64), Avx512F.PermuteVar16x32(scales, lanes + Vector512.Create(2)), y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ArrangePart(sbyte* codes, byte* x)
    {
        for (int i = 0; i < 8; i++, codes += 16, x += 16)
        {
            Vector128<sbyte> part = Vector128.Load(codes);
            part.Store((sbyte*)x);
            Vector128<int> sums = Sse2.MultiplyAddAdjacent(Ssse3.MultiplyAddAdjacent(Vector128.Create((byte)1), part), Vector128.Create((short)-128));
            sums.Store((int*)(x + 128));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Dot(Vector256<byte> first, Vector256<byte> second, byte* x)
    {
        Vector256<int> a = AvxVnni.MultiplyWideningAndAdd(Vector256.Load((int*)(x + 128)), first, Vector256.Load((sbyte*)x));
        Vector256<int> b = AvxVnni.MultiplyWideningAndAdd(Vector256.Load((int*)(x + 160)), second, Vector256.Load((sbyte*)x + 32));
        return Vector512.ConvertToSingle(Avx512F.InsertVector256(a.ToVector512Unsafe(), b, 1));
    }
}
