using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Panels.Avx256;

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

    /// <summary>Copies blocks of eight rows behind each other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gather(byte* blocks, nint stride, int bytes, byte* gathered)
    {
        for (int r = 0; r < 8; r++, blocks += stride, gathered += bytes)
        {
            Unsafe.CopyBlockUnaligned(gathered, blocks, (uint)bytes);
        }
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
