using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>What panels of eight weight rows are made with.</summary>
internal static unsafe class Avx256Columns
{
    /// <summary>Bytes of a vector.</summary>
    public const int Bytes = 32;

    /// <summary>
    /// Transposes 32-bit words: from vectors of sixteen bytes of rows 0 and 4, of rows 1 and 5, and so on, to vectors with a lane for each row.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transpose(ref Vector256<byte> a, ref Vector256<byte> b, ref Vector256<byte> c, ref Vector256<byte> d)
    {
        Vector256<ulong> low01 = Avx2.UnpackLow(a.AsUInt32(), b.AsUInt32()).AsUInt64(), high01 = Avx2.UnpackHigh(a.AsUInt32(), b.AsUInt32()).AsUInt64();
        Vector256<ulong> low23 = Avx2.UnpackLow(c.AsUInt32(), d.AsUInt32()).AsUInt64(), high23 = Avx2.UnpackHigh(c.AsUInt32(), d.AsUInt32()).AsUInt64();
        a = Avx2.UnpackLow(low01, low23).AsByte();
        b = Avx2.UnpackHigh(low01, low23).AsByte();
        c = Avx2.UnpackLow(high01, high23).AsByte();
        d = Avx2.UnpackHigh(high01, high23).AsByte();
    }

    /// <summary>Makes columns of 32-bit words: the word at byte i of every row goes to byte 8 i.</summary>
    /// <param name="rows">The first row.</param>
    /// <param name="stride">Bytes from row to row.</param>
    /// <param name="bytes">Bytes of a row, at least 16; what is above a multiple of 4 is left out.</param>
    /// <param name="columns">Where they go.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Interleave(byte* rows, nint stride, int bytes, byte* columns)
    {
        int i = 0;
        for (; i <= bytes - 16; i += 16)
        {
            Interleave16(rows + i, stride, columns + (8 * i));
        }

        if (i < bytes / 4 * 4)
        {
            i = (bytes / 4 * 4) - 16;
            Interleave16(rows + i, stride, columns + (8 * i));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave16(byte* rows, nint stride, byte* columns)
    {
        Load(rows, stride, out Vector256<byte> a, out Vector256<byte> b, out Vector256<byte> c, out Vector256<byte> d);
        a.Store(columns);
        b.Store(columns + Bytes);
        c.Store(columns + (2 * Bytes));
        d.Store(columns + (3 * Bytes));
    }

    /// <summary>The four words at the same place of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(
        byte* row, nint stride, out Vector256<byte> a, out Vector256<byte> b, out Vector256<byte> c, out Vector256<byte> d)
    {
        nint far = 4 * stride;
        a = Avx256Codes.Pair(row, row + far, 0);
        row += stride;
        b = Avx256Codes.Pair(row, row + far, 0);
        row += stride;
        c = Avx256Codes.Pair(row, row + far, 0);
        row += stride;
        d = Avx256Codes.Pair(row, row + far, 0);
        Transpose(ref a, ref b, ref c, ref d);
    }

    /// <summary>The first two bytes of sixteen of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<ushort> FirstHalves(byte* rows, nint stride)
    {
        Load(rows, stride, out Vector256<byte> words, out _, out _, out _);
        return Narrow(words.AsUInt32() & Vector256.Create(0xFFFFu));
    }

    /// <summary>The last two bytes of sixteen of every row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<ushort> LastHalves(byte* rows, nint stride)
    {
        Load(rows, stride, out _, out _, out _, out Vector256<byte> words);
        return Narrow(words.AsUInt32() >>> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Narrow(Vector256<uint> words) =>
        Sse41.PackUnsignedSaturate(words.GetLower().AsInt32(), words.GetUpper().AsInt32());

    /// <summary>Of the 32 bits of every lane, moves bit 4 q + b to bit q of byte b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> TransposeBits(Vector256<uint> bits)
    {
        bits = Exchange(bits, 14, 0x0000CCCC);
        bits = Exchange(bits, 7, 0x00AA00AA);
        bits = Exchange(bits, 2, 0x0C0C0C0C);
        return Exchange(bits, 1, 0x22222222);
    }

    /// <summary>Exchanges bits with those some places higher.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Exchange(Vector256<uint> bits, int distance, uint mask)
    {
        Vector256<uint> different = (bits ^ (bits >>> distance)) & Vector256.Create(mask);
        return bits ^ different ^ (different << distance);
    }

    /// <summary>The 32-bit words at the same place of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Words(byte* rows, nint stride) => Vector256.Create(
        *(uint*)rows, *(uint*)(rows + stride), *(uint*)(rows + (2 * stride)), *(uint*)(rows + (3 * stride)),
        *(uint*)(rows + (4 * stride)), *(uint*)(rows + (5 * stride)), *(uint*)(rows + (6 * stride)), *(uint*)(rows + (7 * stride)));

    /// <summary>The 16-bit words at the same place of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Halves(byte* rows, nint stride) => Vector256.Create((uint)
        *(ushort*)rows, *(ushort*)(rows + stride), *(ushort*)(rows + (2 * stride)), *(ushort*)(rows + (3 * stride)),
        *(ushort*)(rows + (4 * stride)), *(ushort*)(rows + (5 * stride)), *(ushort*)(rows + (6 * stride)), *(ushort*)(rows + (7 * stride)));
}
