using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Layouts;

namespace KQuant.Matmul.Panels.Avx256;

/// <summary>Panels of a 32-wide codec for 256-bit vectors.</summary>
internal readonly unsafe struct Avx256FlatPanel<TLayout, TDot> : IPanelFormat
    where TLayout : struct, IFlatLayout
    where TDot : struct, IDot256
{
    private const int Vector = Avx256Columns.Bytes;

    public static QuantFormat Format => TLayout.Format;

    public static KernelTier Tier => TDot.Tier;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 8;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx256FlatTile<TLayout, TDot>.FactorBytes;

    public static ActivationRecord Record => new()
    {
        IsFlat = true,
        Term = TLayout.HasMin ? BlockTerm.ScaledSum : BlockTerm.Offset,
        Offset = Avx256FlatTile<TLayout, TDot>.Offset,
    };

    public static int ColumnTiles => 0;

    public static int ColumnFactorBytes => 0;

    public static ActivationRecord ColumnRecord => Record;

    public static void Interleave(byte* blocks, nint stride, int count, byte* columns) =>
        Avx256Columns.Gather(blocks, stride, count * TLayout.BlockBytes, columns);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        nint stride = blocks * TLayout.BlockBytes;
        byte* block = columns;
        for (int b = 0; b < blocks; b++, block += TLayout.BlockBytes, codes += 8 * Vector)
        {
            byte* row = block;
            Codes256.Unpack<TLayout, TDot>(row, row + (4 * stride), out Vector256<byte> a0, out Vector256<byte> a1);
            row += stride;
            Codes256.Unpack<TLayout, TDot>(row, row + (4 * stride), out Vector256<byte> b0, out Vector256<byte> b1);
            row += stride;
            Codes256.Unpack<TLayout, TDot>(row, row + (4 * stride), out Vector256<byte> c0, out Vector256<byte> c1);
            row += stride;
            Codes256.Unpack<TLayout, TDot>(row, row + (4 * stride), out Vector256<byte> d0, out Vector256<byte> d1);
            Store(a0, b0, c0, d0, codes);
            Store(a1, b1, c1, d1, codes + (4 * Vector));
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        nint stride = blocks * TLayout.BlockBytes;
        for (int b = 0; b < blocks; b++, columns += TLayout.BlockBytes, factors += Vector)
        {
            if (!TLayout.HasMin)
            {
                Binary16.ToSingle(Avx256Columns.Halves(columns, stride)).Store((float*)factors);
                continue;
            }

            Vector256<uint> halves = Avx256Columns.Words(columns, stride);
            Binary16.ToSingle(halves).Store((float*)factors);
            factors += Vector;
            Binary16.ToSingle(halves >>> 16).Store((float*)factors);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx256FlatTile<TLayout, TDot>.Multiply(task);

    public static void MultiplyColumns(in TileTask task) => throw new NotSupportedException();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<byte> a, Vector256<byte> b, Vector256<byte> c, Vector256<byte> d, byte* codes)
    {
        if (TLayout.Bits == 8 && !TDot.TakesSignedCodes)
        {
            Vector256<byte> sign = Vector256.Create((byte)0x80);
            a ^= sign;
            b ^= sign;
            c ^= sign;
            d ^= sign;
        }

        Avx256Columns.Transpose(ref a, ref b, ref c, ref d);
        a.Store(codes);
        b.Store(codes + Vector);
        c.Store(codes + (2 * Vector));
        d.Store(codes + (3 * Vector));
    }
}
