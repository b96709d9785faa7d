using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>Panels of a 32-wide codec for 256-bit vectors.</summary>
internal readonly unsafe struct Avx256FlatPanel<TLayout, TDot> : IPanelFormat
    where TLayout : struct, IFlatLayout
    where TDot : struct, IAvx256Dot
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

    public static int ColumnTiles => 1;

    public static int ColumnFactorBytes => 0;

    public static ActivationRecord ColumnRecord => Record;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        int head = TLayout.HasMin ? 0 : sizeof(ushort);
        for (int b = 0; b < count; b++, blocks += TLayout.BlockBytes, columns += 8 * TLayout.BlockBytes)
        {
            if (!TLayout.HasMin)
            {
                Avx256Columns.FirstHalves(blocks, stride).Store((ushort*)columns);
            }

            Avx256Columns.Interleave(blocks + head, stride, TLayout.BlockBytes - head, columns + (8 * head));
            if (TLayout.Bits == 5)
            {
                uint* fifth = (uint*)(columns + (8 * TLayout.FifthByte));
                Avx256Columns.TransposeBits(Vector256.Load(fifth)).Store(fifth);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        for (int b = 0; b < blocks; b++, columns += 8 * TLayout.BlockBytes, codes += 8 * Vector, factors += TLayout.HasMin ? 2 * Vector : Vector)
        {
            Vector256<uint> fifth = TLayout.Bits == 5 ? Vector256.Load((uint*)(columns + (8 * TLayout.FifthByte))) : default;
            byte* column = columns + (8 * TLayout.CodeByte);
            Store(column, fifth, 0, codes);
            Store(column, fifth, 1, codes);
            Store(column, fifth, 2, codes);
            Store(column, fifth, 3, codes);
            if (!TLayout.HasMin)
            {
                Binary16.ToSingle(Avx2.ConvertToVector256Int32((ushort*)columns).AsUInt32()).Store((float*)factors);
                continue;
            }

            Vector256<uint> halves = Vector256.Load((uint*)columns);
            Binary16.ToSingle(halves).Store((float*)factors);
            Binary16.ToSingle(halves >>> 16).Store((float*)(factors + Vector));
        }
    }

    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        // They are taken from columns too.
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx256FlatTile<TLayout, TDot>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx256FlatColumnTile<TLayout, TDot>.Multiply(task);

    /// <summary>Writes the codes that are in one of the first four columns, or in it and in the one four after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(byte* columns, Vector256<uint> fifth, int column, byte* codes)
    {
        Vector256<byte> packed = Vector256.Load(columns + (column * Vector)), low, high;
        if (TLayout.Bits == 8)
        {
            low = packed;
            high = Vector256.Load(columns + ((column + 4) * Vector));
            if (!TDot.TakesSignedCodes)
            {
                low ^= Vector256.Create((byte)0x80);
                high ^= Vector256.Create((byte)0x80);
            }
        }
        else
        {
            low = TDot.Pick(packed, 0, TDot.Picker(0, 0, 4));
            high = TDot.Pick(packed, 4, TDot.Picker(4, 0, 4));
        }

        if (TLayout.Bits == 5)
        {
            Vector256<byte> bit = Vector256.Create((byte)16);
            low |= (fifth << (4 - column)).AsByte() & bit;
            high |= (fifth >>> column).AsByte() & bit;
        }

        low.Store(codes + (column * Vector));
        high.Store(codes + ((column + 4) * Vector));
    }
}
