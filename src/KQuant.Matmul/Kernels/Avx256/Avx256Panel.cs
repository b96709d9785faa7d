using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>Panels of a K-quant for 256-bit vectors.</summary>
internal readonly unsafe struct Avx256Panel<TLayout, TDot> : IPanelFormat
    where TLayout : struct, IKLayout
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

    public static int FactorBytes => Avx256Tile<TLayout, TDot>.FactorBytes;

    public static ActivationRecord Record => new()
    {
        MinPairs = Avx256Tile<TLayout, TDot>.MinPairs,
        IsBiased = Avx256Tile<TLayout, TDot>.IsBiased,
    };

    public static int ColumnTiles => 0;

    public static int ColumnFactorBytes => 0;

    public static ActivationRecord ColumnRecord => Record;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        Avx256Columns.Interleave(blocks, stride, TLayout.BlockBytes, columns);
        if (!TLayout.HasMin)
        {
            Avx256Columns.LastHalves(blocks + TLayout.BlockBytes - 16, stride).Store((ushort*)(columns + (8 * TLayout.FactorByte)));
        }
    }

    private static bool IsScaled
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Avx256Tile<TLayout, TDot>.IsScaled;
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        ScaleVectors memory;
        byte* scales = IsScaled ? memory.Bytes : factors;
        ExpandScales(columns, scales);
        ExpandRest(columns, factors + (Avx256Tile<TLayout, TDot>.Scales * Vector));
        Vector256<int> total = ExpandRuns<First0>(columns, codes, scales, default);
        total = ExpandRuns<First4>(columns, codes, scales, total);
        total = ExpandRuns<First8>(columns, codes, scales, total);
        total = ExpandRuns<First12>(columns, codes, scales, total);
        if (TLayout.Offset != 0)
        {
            (IsScaled ? total << 7 : -(total << 7)).Store((int*)(factors + FactorBytes - Vector));
        }
    }

    public static void ExpandFactors(byte* columns, int blocks, byte* factors) => throw new NotSupportedException();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx256Tile<TLayout, TDot>.Multiply(task);

    public static void MultiplyColumns(in TileTask task) => throw new NotSupportedException();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ExpandScales(byte* columns, byte* scales)
    {
        StoreScales(TLayout.ScaleColumn(columns, 0), scales);
        StoreScales(TLayout.ScaleColumn(columns, 1), scales + (4 * Vector));
        if (TLayout.SubBlock == 16)
        {
            StoreScales(TLayout.ScaleColumn(columns, 2), scales + (8 * Vector));
            StoreScales(TLayout.ScaleColumn(columns, 3), scales + (12 * Vector));
        }
    }

    /// <summary>Writes the pairs of minima, d and dmin.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ExpandRest(byte* columns, byte* factors)
    {
        byte* halves = columns + (8 * TLayout.FactorByte);
        if (!TLayout.HasMin)
        {
            Binary16.ToSingle(Avx2.ConvertToVector256Int32((ushort*)halves).AsUInt32()).Store((float*)factors);
            return;
        }

        StorePairs(TLayout.MinColumn(columns, 0), factors);
        StorePairs(TLayout.MinColumn(columns, 1), factors + (2 * Vector));
        if (TLayout.SubBlock == 16)
        {
            StorePairs(TLayout.MinColumn(columns, 2), factors + (4 * Vector));
            StorePairs(TLayout.MinColumn(columns, 3), factors + (6 * Vector));
        }

        factors += 128 / TLayout.SubBlock * Vector;
        Vector256<uint> both = Vector256.Load((uint*)halves);
        Binary16.ToSingle(both).Store((float*)factors);
        Binary16.ToSingle(both >>> 16).Store((float*)(factors + Vector));
    }

    // The JIT inlines only so much into one method.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Vector256<int> ExpandRuns<TFirst>(byte* columns, byte* codes, byte* scales, Vector256<int> total)
        where TFirst : struct, IFirstRun
    {
        total = ExpandRun(columns, TFirst.Run, codes, scales, total);
        total = ExpandRun(columns, TFirst.Run + 1, codes, scales, total);
        total = ExpandRun(columns, TFirst.Run + 2, codes, scales, total);
        return ExpandRun(columns, TFirst.Run + 3, codes, scales, total);
    }

    /// <summary>Makes codes of a run of every row, and adds what the bias of activations adds to products; run and sub-block are the same then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> ExpandRun(byte* columns, int run, byte* codes, byte* scales, Vector256<int> total)
    {
        Vector256<byte> a = Avx256Codes.Column<TLayout, TDot>(columns, run), b = Avx256Codes.Column<TLayout, TDot>(columns + Vector, run);
        Vector256<byte> c = Avx256Codes.Column<TLayout, TDot>(columns + (2 * Vector), run), d = Avx256Codes.Column<TLayout, TDot>(columns + (3 * Vector), run);
        Vector256<int> scale = Vector256.Load((int*)(scales + (run * 16 / TLayout.SubBlock * Vector)));
        if (IsScaled)
        {
            Vector256<short> factor = Avx2Dot.Scale(TLayout.Offset == 0 ? scale : -scale).AsInt16();
            a = Scale(a, factor);
            b = Scale(b, factor);
            c = Scale(c, factor);
            d = Scale(d, factor);
        }

        if (TLayout.Offset != 0)
        {
            Vector256<byte> offset = IsScaled ? Bytes(scale * -TLayout.Offset) : Vector256.Create((byte)TLayout.Offset), one = Vector256<byte>.One;
            a -= offset;
            b -= offset;
            c -= offset;
            d -= offset;
            Vector256<int> sum = TDot.Add(TDot.Begin(default, one, a.AsSByte()), one, b.AsSByte());
            sum = TDot.Add(TDot.Add(sum, one, c.AsSByte()), one, d.AsSByte());
            total = IsScaled ? total + sum : TDot.AddScaled(total, sum, scale);
        }

        codes += 4 * run * Vector;
        a.Store(codes);
        b.Store(codes + Vector);
        c.Store(codes + (2 * Vector));
        d.Store(codes + (3 * Vector));
        return total;
    }

    /// <summary>Bytes times a factor, of which the lowest eight bits are kept.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Scale(Vector256<byte> codes, Vector256<short> factor)
    {
        if (TLayout.Offset == 0)
        {
            // No product reaches 256.
            return (codes.AsInt16() * factor).AsByte();
        }

        Vector256<short> even = Vector256.Create((short)0x00FF);
        Vector256<short> low = (codes.AsInt16() & even) * factor, high = Vector256.AndNot(codes.AsInt16(), even) * factor;
        return ((low & even) | high).AsByte();
    }

    /// <summary>The lowest byte of every lane, four times.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Bytes(Vector256<int> numbers) => ((numbers & Vector256.Create(0xFF)) * 0x01010101).AsByte();

    /// <summary>Writes the four signed bytes of every lane as four vectors of scales.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreScales(Vector256<byte> bytes, byte* factors)
    {
        TDot.Scale(bytes.AsInt32() << 24 >> 24).Store((int*)factors);
        TDot.Scale(bytes.AsInt32() << 16 >> 24).Store((int*)(factors + Vector));
        TDot.Scale(bytes.AsInt32() << 8 >> 24).Store((int*)(factors + (2 * Vector)));
        TDot.Scale(bytes.AsInt32() >> 24).Store((int*)(factors + (3 * Vector)));
    }

    /// <summary>Writes the four unsigned bytes of every lane as two pairs of 16-bit factors: two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StorePairs(Vector256<byte> bytes, byte* factors)
    {
        const ulong FirstLow = 0x80058004_80018000, FirstHigh = 0x800D800C_80098008, Second = 0x00020002_00020002;
        Avx2.Shuffle(bytes, Vector256.Create(FirstLow, FirstHigh, FirstLow, FirstHigh).AsByte()).Store(factors);
        Avx2.Shuffle(bytes, Vector256.Create(FirstLow + Second, FirstHigh + Second, FirstLow + Second, FirstHigh + Second).AsByte()).Store(factors + Vector);
    }

    /// <summary>The first of four runs, as a type, so that where their bits are is constant.</summary>
    private interface IFirstRun
    {
        static abstract int Run { get; }
    }

    private readonly struct First0 : IFirstRun
    {
        public static int Run => 0;
    }

    private readonly struct First4 : IFirstRun
    {
        public static int Run => 4;
    }

    private readonly struct First8 : IFirstRun
    {
        public static int Run => 8;
    }

    private readonly struct First12 : IFirstRun
    {
        public static int Run => 12;
    }

    /// <summary>Scales that are not kept.</summary>
    private struct ScaleVectors
    {
        public fixed byte Bytes[16 * Vector];
    }
}
