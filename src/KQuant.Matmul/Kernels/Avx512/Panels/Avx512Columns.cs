using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Interleaves bytes of sixteen rows: lane r of a column is a 32-bit word of row r.</summary>
internal static unsafe class Avx512Columns
{
    /// <summary>Bytes of a column.</summary>
    public const int Bytes = 64;

    /// <summary>Makes columns of the first <c>16 * chunks</c> bytes of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* rows, nint stride, int chunks, byte* columns)
    {
        for (int i = 0; i < chunks; i++, rows += 16, columns += 4 * Bytes)
        {
            Load(rows, stride, out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c, out Vector512<uint> d);
            a.Store((uint*)columns);
            b.Store((uint*)(columns + Bytes));
            c.Store((uint*)(columns + (2 * Bytes)));
            d.Store((uint*)(columns + (3 * Bytes)));
        }
    }

    /// <summary>Makes four columns of sixteen bytes of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(
        byte* rows, nint stride, out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c, out Vector512<uint> d)
    {
        // Lane group g of vector i has row 4 g + i; the words of four such vectors are transposed within the groups.
        nint group = 4 * stride;
        Vector512<uint> r0 = Rows(rows, group), r1 = Rows(rows + stride, group);
        Vector512<uint> r2 = Rows(rows + (2 * stride), group), r3 = Rows(rows + (3 * stride), group);
        Vector512<ulong> low01 = Avx512F.UnpackLow(r0, r1).AsUInt64(), high01 = Avx512F.UnpackHigh(r0, r1).AsUInt64();
        Vector512<ulong> low23 = Avx512F.UnpackLow(r2, r3).AsUInt64(), high23 = Avx512F.UnpackHigh(r2, r3).AsUInt64();
        a = Avx512F.UnpackLow(low01, low23).AsUInt32();
        b = Avx512F.UnpackHigh(low01, low23).AsUInt32();
        c = Avx512F.UnpackLow(high01, high23).AsUInt32();
        d = Avx512F.UnpackHigh(high01, high23).AsUInt32();
    }

    /// <summary>The two bytes at the start of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> LoadHalves(byte* rows, nint stride)
    {
        Load(rows, stride, out Vector512<uint> words, out _, out _, out _);
        return Avx512F.ConvertToVector256UInt16(words);
    }

    /// <summary>The last two bytes of sixteen of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> LoadLastHalves(byte* rows, nint stride)
    {
        Load(rows, stride, out _, out _, out _, out Vector512<uint> words);
        return Avx512F.ConvertToVector256UInt16(words >>> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Rows(byte* row, nint group)
    {
        Vector512<uint> rows = Vector128.Load((uint*)row).ToVector256Unsafe().ToVector512Unsafe();
        rows = Avx512F.InsertVector128(rows, Vector128.Load((uint*)(row + group)), 1);
        rows = Avx512F.InsertVector128(rows, Vector128.Load((uint*)(row + (2 * group))), 2);
        return Avx512F.InsertVector128(rows, Vector128.Load((uint*)(row + (3 * group))), 3);
    }
}
