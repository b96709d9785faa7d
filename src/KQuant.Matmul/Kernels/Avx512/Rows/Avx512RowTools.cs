using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>What the K-quant row formats share.</summary>
internal static unsafe class Avx512RowTools
{
    /// <summary>Reads sixteen bytes of up to sixteen blocks as four columns, a block in every lane; lanes of missing blocks are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(
        byte* bytes, int blockBytes, int count, byte* gathered,
        out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c, out Vector512<uint> d)
    {
        nint stride = blockBytes;
        if (count < 16)
        {
            for (int i = 0; i < count; i++)
            {
                Vector128.Load(bytes + (i * blockBytes)).Store(gathered + (16 * i));
            }

            bytes = gathered;
            stride = 16;
        }

        Avx512Columns.Load(bytes, stride, out a, out b, out c, out d);
    }

    /// <summary>The same for the last four bytes of sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> LoadLast(byte* bytes, int blockBytes, int count, byte* gathered)
    {
        Load(bytes, blockBytes, count, gathered, out _, out _, out _, out Vector512<uint> last);
        return last;
    }

    /// <summary>Reads d, dmin and the packed six-bit scales of q4_K or q5_K.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadScales12(byte* blocks, int blockBytes, int count, SmallPrint* print)
    {
        Vector512<uint> sixBits = Vector512.Create(0x3F3F3F3Fu), fourBits = Vector512.Create(0x0F0F0F0Fu), highTwo = Vector512.Create(0x30303030u);
        Load(blocks, blockBytes, count, print->Gathered, out Vector512<uint> factors, out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c);
        StorePair(factors, print);
        Vector512<uint> low = a & sixBits, high = (c & fourBits) | ((a >>> 2) & highTwo);
        Vector512<ulong> even = Avx512F.UnpackLow(low, high).AsUInt64(), odd = Avx512F.UnpackHigh(low, high).AsUInt64();
        Avx512F.PermuteVar8x64x2(even, Vector512.Create(0UL, 1, 8, 9, 2, 3, 10, 11), odd).Store((ulong*)print->Scales);
        Avx512F.PermuteVar8x64x2(even, Vector512.Create(4UL, 5, 12, 13, 6, 7, 14, 15), odd).Store((ulong*)(print->Scales + 64));
        Avx512Scales.StorePairs(b & sixBits, (byte*)print->Mins);
        Avx512Scales.StorePairs(((c >>> 4) & fourBits) | ((b >>> 2) & highTwo), (byte*)(print->Mins + 64));
    }

    /// <summary>Writes d and dmin.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePair(Vector512<uint> halves, SmallPrint* print)
    {
        Binary16.ToSingle(halves).Store(print->D);
        Binary16.ToSingle(halves >>> 16).Store(print->DMin);
    }

    /// <summary>Writes the sixteen bytes of every block, four in every column, block after block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBlocks(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c, Vector512<uint> d, byte* bytes)
    {
        Vector512<ulong> lowAB = Avx512F.UnpackLow(a, b).AsUInt64(), highAB = Avx512F.UnpackHigh(a, b).AsUInt64();
        Vector512<ulong> lowCD = Avx512F.UnpackLow(c, d).AsUInt64(), highCD = Avx512F.UnpackHigh(c, d).AsUInt64();

        // Part g of vector i has block 4 g + i; the parts are transposed in turn.
        Vector512<ulong> r0 = Avx512F.UnpackLow(lowAB, lowCD), r1 = Avx512F.UnpackHigh(lowAB, lowCD);
        Vector512<ulong> r2 = Avx512F.UnpackLow(highAB, highCD), r3 = Avx512F.UnpackHigh(highAB, highCD);
        Vector512<ulong> first01 = Avx512F.Shuffle4x128(r0, r1, 0b01_00_01_00), last01 = Avx512F.Shuffle4x128(r0, r1, 0b11_10_11_10);
        Vector512<ulong> first23 = Avx512F.Shuffle4x128(r2, r3, 0b01_00_01_00), last23 = Avx512F.Shuffle4x128(r2, r3, 0b11_10_11_10);
        Avx512F.Shuffle4x128(first01, first23, 0b10_00_10_00).Store((ulong*)bytes);
        Avx512F.Shuffle4x128(first01, first23, 0b11_01_11_01).Store((ulong*)(bytes + 64));
        Avx512F.Shuffle4x128(last01, last23, 0b10_00_10_00).Store((ulong*)(bytes + 128));
        Avx512F.Shuffle4x128(last01, last23, 0b11_01_11_01).Store((ulong*)(bytes + 192));
    }

    /// <summary>Byte <paramref name="index0"/> of the first 128-bit part, and so on, as 16-bit numbers throughout the part.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Spread(Vector512<byte> bytes, ulong index0, ulong index1, ulong index2, ulong index3) =>
        Avx512BW.Shuffle(bytes, Parts(index0, index1, index2, index3, 0x8000).AsByte()).AsInt16();

    /// <summary>Number <paramref name="index0"/> throughout the first 128-bit part, <paramref name="index1"/> throughout the second, and so on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Spread(Vector256<short> numbers, ulong index0, ulong index1, ulong index2, ulong index3) =>
        Avx512BW.PermuteVar32x16(numbers.ToVector512Unsafe(), Parts(index0, index1, index2, index3, 0).AsInt16());

    /// <summary>The first codes of a half at bit 0 of 64-bit lanes, those of the other half from bit <paramref name="distance"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ushort> Halves(byte* bits, ulong distance)
    {
        // Two loads, because .NET 10 gives the 256-bit broadcast a wrong displacement.
        Vector512<ulong> both = Avx512F.InsertVector256(Vector256.Load((ulong*)bits).ToVector512Unsafe(), Vector256.Load((ulong*)bits), 1);
        return Avx512F.ShiftRightLogicalVariable(both, Vector512.Create(0, 0, 0, 0, distance, distance, distance, distance)).AsUInt16();
    }

    /// <summary>A constant, written so that the JIT sees one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Parts(ulong index0, ulong index1, ulong index2, ulong index3, ulong or)
    {
        const ulong Everywhere = 0x0001_0001_0001_0001;
        return Vector512.Create(
            (index0 | or) * Everywhere, (index0 | or) * Everywhere, (index1 | or) * Everywhere, (index1 | or) * Everywhere,
            (index2 | or) * Everywhere, (index2 | or) * Everywhere, (index3 | or) * Everywhere, (index3 | or) * Everywhere);
    }
}
