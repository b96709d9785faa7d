using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// The product of consecutive weight rows of a K-quant with one to eight activation rows, on wire bytes. 32 codes at a time are unpacked once
/// for all activation rows. An activation row sums in eight lanes of its own and in the same order however many there are beside it.
/// </summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx256RowKernel<TLayout, TDot>(int preferredRows) : ProductKernel(TLayout.Format, TDot.Tier, "row")
    where TLayout : struct, IKLayout
    where TDot : struct, IAvx256Dot
{
    private const int CacheLine = 64;

    /// <summary>Units whose d and dmin are read together.</summary>
    private const int Group = 8;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 8192;

    public override bool IsCanonical => false;

    public override int MaxRows => 8;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * sizeof(Activations);

    public override nint GetScratchBytes(int units) => 0;

    /// <summary>Arranges activations, all rows of a unit before the next unit.</summary>
    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        var x = (Activations*)destination;
        for (int u = 0; u < source.Units; u++)
        {
            for (int r = 0; r < rows; r++, x++)
            {
                nint from = rowIndices == null ? r : rowIndices[r];
                Arrange(source.RowCodes(from) + (256 * u), source.RowScales(from) + u, source.Units - u, source.RowSums(from) + (16 * u), x);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        var x = (Activations*)task.Activations;
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 4: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 5: Multiply<Rows5>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 6: Multiply<Rows6>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            case 7: Multiply<Rows7>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
            default: Multiply<Rows8>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, x, task.Outputs); break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int units, Activations* rows, float** outputs)
        where TRows : struct, ITileRows
    {
        Memory memory;
        float* factors = memory.Factors;
        Vector256<byte> order0 = Avx256Codes.Keep(TDot.FirstOrder(0), memory.Constants), order2 = Avx256Codes.Keep(TDot.FirstOrder(2), memory.Constants + 32);
        Vector256<byte> order4 = Avx256Codes.Keep(TDot.FirstOrder(4), memory.Constants + 64), order6 = Avx256Codes.Keep(TDot.FirstOrder(6), memory.Constants + 96);
        Vector256<byte> pick0 = Avx256Codes.Keep(Avx256Codes.LowPicker<TLayout, TDot>(0), memory.Constants + 128);
        Vector256<byte> pick2 = SamePick(2, 0) ? pick0 : Avx256Codes.Keep(Avx256Codes.LowPicker<TLayout, TDot>(2), memory.Constants + 160);
        Vector256<byte> pick4 = SamePick(4, 0) ? pick0 : Avx256Codes.Keep(Avx256Codes.LowPicker<TLayout, TDot>(4), memory.Constants + 192);
        Vector256<byte> pick6 = SamePick(6, 2) ? pick2 : SamePick(6, 4) ? pick4 : Avx256Codes.Keep(Avx256Codes.LowPicker<TLayout, TDot>(6), memory.Constants + 224);
        for (int n = 0; n < weightRows; n++)
        {
            Vector256<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            byte* block = weights + (n * rowBytes);
            Activations* x = rows;
            for (int left = units; left > 0; left -= Group)
            {
                int count = Math.Min(Group, left);
                ReadFactors<TRows>(block, count, x, factors);
                for (float* factor = factors; factor < factors + count; factor++)
                {
                    for (int i = 0; i < TLayout.BlockBytes; i += CacheLine)
                    {
                        Sse.Prefetch0(block + Ahead + i);
                    }

                    TLayout.Unpack(block, out Vector256<byte> scaleBytes, out Vector256<byte> minBytes);
                    Vector256<short> scales = Spread(scaleBytes, 0), offsets = TLayout.Offset == 0 ? default : -(scales * (short)TLayout.Offset);
                    Vector256<byte> a, b;
                    Vector256<short> scaleA, scaleB;
                    Vector256<int> i0 = default, i1 = default, i2 = default, i3 = default, i4 = default, i5 = default, i6 = default, i7 = default;
                    if (TLayout.Offset != 0)
                    {
                        i0 = TDot.AddPairs(i0, Vector256.Load(x[0].Sums), offsets);
                        if (TRows.Count > 1) { i1 = TDot.AddPairs(i1, Vector256.Load(x[1].Sums), offsets); }
                        if (TRows.Count > 2) { i2 = TDot.AddPairs(i2, Vector256.Load(x[2].Sums), offsets); }
                        if (TRows.Count > 3) { i3 = TDot.AddPairs(i3, Vector256.Load(x[3].Sums), offsets); }
                        if (TRows.Count > 4) { i4 = TDot.AddPairs(i4, Vector256.Load(x[4].Sums), offsets); }
                        if (TRows.Count > 5) { i5 = TDot.AddPairs(i5, Vector256.Load(x[5].Sums), offsets); }
                        if (TRows.Count > 6) { i6 = TDot.AddPairs(i6, Vector256.Load(x[6].Sums), offsets); }
                        if (TRows.Count > 7) { i7 = TDot.AddPairs(i7, Vector256.Load(x[7].Sums), offsets); }
                    }

                    Avx256Codes.Load<TLayout>(block, 0, out Vector256<byte> low0, out Vector256<byte> low2, out Vector256<byte> low4, out Vector256<byte> low6, out Vector256<byte> high);
                    a = Avx256Codes.Runs<TLayout, TDot>(low0, high, 0, pick0); b = Avx256Codes.Runs<TLayout, TDot>(low2, high, 2, pick2);
                    scaleA = Shuffle(scales, order0); scaleB = Shuffle(scales, TDot.SecondOrder(0));
                    i0 = TDot.AddScaled(i0, a, x[0].Codes + 0, scaleA, b, x[0].Codes + 32, scaleB);
                    if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 0, scaleA, b, x[1].Codes + 32, scaleB); }
                    if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 0, scaleA, b, x[2].Codes + 32, scaleB); }
                    if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 0, scaleA, b, x[3].Codes + 32, scaleB); }
                    if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 0, scaleA, b, x[4].Codes + 32, scaleB); }
                    if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 0, scaleA, b, x[5].Codes + 32, scaleB); }
                    if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 0, scaleA, b, x[6].Codes + 32, scaleB); }
                    if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 0, scaleA, b, x[7].Codes + 32, scaleB); }
                    a = Avx256Codes.Runs<TLayout, TDot>(low4, high, 4, pick4); b = Avx256Codes.Runs<TLayout, TDot>(low6, high, 6, pick6);
                    scaleA = Shuffle(scales, order2); scaleB = Shuffle(scales, TDot.SecondOrder(2));
                    i0 = TDot.AddScaled(i0, a, x[0].Codes + 64, scaleA, b, x[0].Codes + 96, scaleB);
                    if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 64, scaleA, b, x[1].Codes + 96, scaleB); }
                    if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 64, scaleA, b, x[2].Codes + 96, scaleB); }
                    if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 64, scaleA, b, x[3].Codes + 96, scaleB); }
                    if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 64, scaleA, b, x[4].Codes + 96, scaleB); }
                    if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 64, scaleA, b, x[5].Codes + 96, scaleB); }
                    if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 64, scaleA, b, x[6].Codes + 96, scaleB); }
                    if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 64, scaleA, b, x[7].Codes + 96, scaleB); }
                    Avx256Codes.Load<TLayout>(block, 8, out low0, out low2, out low4, out low6, out high);
                    a = Avx256Codes.Runs<TLayout, TDot>(low0, high, 8, pick0); b = Avx256Codes.Runs<TLayout, TDot>(low2, high, 10, pick2);
                    scaleA = Shuffle(scales, order4); scaleB = Shuffle(scales, TDot.SecondOrder(4));
                    i0 = TDot.AddScaled(i0, a, x[0].Codes + 128, scaleA, b, x[0].Codes + 160, scaleB);
                    if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 128, scaleA, b, x[1].Codes + 160, scaleB); }
                    if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 128, scaleA, b, x[2].Codes + 160, scaleB); }
                    if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 128, scaleA, b, x[3].Codes + 160, scaleB); }
                    if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 128, scaleA, b, x[4].Codes + 160, scaleB); }
                    if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 128, scaleA, b, x[5].Codes + 160, scaleB); }
                    if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 128, scaleA, b, x[6].Codes + 160, scaleB); }
                    if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 128, scaleA, b, x[7].Codes + 160, scaleB); }
                    a = Avx256Codes.Runs<TLayout, TDot>(low4, high, 12, pick4); b = Avx256Codes.Runs<TLayout, TDot>(low6, high, 14, pick6);
                    scaleA = Shuffle(scales, order6); scaleB = Shuffle(scales, TDot.SecondOrder(6));
                    i0 = TDot.AddScaled(i0, a, x[0].Codes + 192, scaleA, b, x[0].Codes + 224, scaleB);
                    if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 192, scaleA, b, x[1].Codes + 224, scaleB); }
                    if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 192, scaleA, b, x[2].Codes + 224, scaleB); }
                    if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 192, scaleA, b, x[3].Codes + 224, scaleB); }
                    if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 192, scaleA, b, x[4].Codes + 224, scaleB); }
                    if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 192, scaleA, b, x[5].Codes + 224, scaleB); }
                    if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 192, scaleA, b, x[6].Codes + 224, scaleB); }
                    if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 192, scaleA, b, x[7].Codes + 224, scaleB); }

                    Vector256<short> mins = TLayout.HasMin ? Spread(minBytes, TLayout.SubBlock == 32 ? 8 : 0) : default;
                    y0 = Finish(y0, x + 0, i0, mins, factor + (0 * 2 * Group));
                    if (TRows.Count > 1) { y1 = Finish(y1, x + 1, i1, mins, factor + (1 * 2 * Group)); }
                    if (TRows.Count > 2) { y2 = Finish(y2, x + 2, i2, mins, factor + (2 * 2 * Group)); }
                    if (TRows.Count > 3) { y3 = Finish(y3, x + 3, i3, mins, factor + (3 * 2 * Group)); }
                    if (TRows.Count > 4) { y4 = Finish(y4, x + 4, i4, mins, factor + (4 * 2 * Group)); }
                    if (TRows.Count > 5) { y5 = Finish(y5, x + 5, i5, mins, factor + (5 * 2 * Group)); }
                    if (TRows.Count > 6) { y6 = Finish(y6, x + 6, i6, mins, factor + (6 * 2 * Group)); }
                    if (TRows.Count > 7) { y7 = Finish(y7, x + 7, i7, mins, factor + (7 * 2 * Group)); }
                    block += TLayout.BlockBytes;
                    x += TRows.Count;
                }
            }

            outputs[0][n] = Vector256.Sum(y0);
            if (TRows.Count > 1) { outputs[1][n] = Vector256.Sum(y1); }
            if (TRows.Count > 2) { outputs[2][n] = Vector256.Sum(y2); }
            if (TRows.Count > 3) { outputs[3][n] = Vector256.Sum(y3); }
            if (TRows.Count > 4) { outputs[4][n] = Vector256.Sum(y4); }
            if (TRows.Count > 5) { outputs[5][n] = Vector256.Sum(y5); }
            if (TRows.Count > 6) { outputs[6][n] = Vector256.Sum(y6); }
            if (TRows.Count > 7) { outputs[7][n] = Vector256.Sum(y7); }
        }
    }

    /// <summary>Reads d and dmin of up to eight blocks, and multiplies them by the scales of the activation rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ReadFactors<TRows>(byte* blocks, int count, Activations* x, float* factors)
        where TRows : struct, ITileRows
    {
        byte* rows = blocks + TLayout.FactorByte;
        nint stride = TLayout.BlockBytes;
        Vector256<uint> few = default;
        if (count < Group)
        {
            for (int i = 0; i < count; i++)
            {
                ((uint*)&few)[i] = TLayout.HasMin ? *(uint*)(rows + (i * stride)) : *(ushort*)(rows + (i * stride));
            }

            rows = (byte*)&few;
            stride = sizeof(uint);
        }

        Vector256<uint> halves = TLayout.HasMin ? Avx256Columns.Words(rows, stride) : Avx256Columns.Halves(rows, stride);
        Vector256<float> d = Binary16.ToSingle(halves), dmin = TLayout.HasMin ? Binary16.ToSingle(halves >>> 16) : default;
        for (int r = 0; r < TRows.Count; r++, x++, factors += 2 * Group)
        {
            Vector256<float> scales = Vector256.Load(x->Scales);
            (d * scales).Store(factors);
            if (TLayout.HasMin)
            {
                (dmin * scales).Store(factors + Group);
            }
        }
    }

    /// <summary>Arranges a unit of an activation row.</summary>
    /// <param name="codes">Its codes.</param>
    /// <param name="scales">Its scale, and those of the following units of the row.</param>
    /// <param name="count">How many units there are from here on.</param>
    /// <param name="sums">Sums of sixteen codes each.</param>
    /// <param name="x">Where it goes.</param>
    private static void Arrange(sbyte* codes, float* scales, int count, short* sums, Activations* x)
    {
        Unsafe.CopyBlockUnaligned(x->Codes, codes, 256);
        for (int i = 0; i < 8; i++)
        {
            x->Sums[i] = sums[2 * i];
            x->Sums[8 + i] = sums[(2 * i) + 1];
            x->Scales[i] = i < count ? scales[i] : 0;
        }
    }

    /// <summary>
    /// Factors of sixteen sub-blocks, the even ones in the lower half, the odd ones in the upper; or of eight, in both halves: codes of
    /// even runs are in the lower half of a vector.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Spread(Vector256<byte> factors, int first)
    {
        const ulong First = 0x03800280_01800080, Even = 0x06800480_02800080, Odd = 0x07800580_03800180, Next4 = 0x04000400_04000400, Next8 = 0x08000800_08000800;
        ulong places = (ulong)first * 0x01000100_01000100;
        Vector256<ulong> order = TLayout.SubBlock == 32
            ? Vector256.Create(First + places, First + Next4 + places, First + places, First + Next4 + places)
            : Vector256.Create(Even, Even + Next8, Odd, Odd + Next8);

        // Factors of formats with minima have no sign and need not be moved to where it is.
        return TLayout.HasMin
            ? Avx2.Shuffle(factors, (order >>> 8 | Vector256.Create(0x80008000_80008000)).AsByte()).AsInt16()
            : Avx2.Shuffle(factors, order.AsByte()).AsInt16() >> 8;
    }

    private static bool SamePick(int run, int other) => TLayout.LowShift(run) == TLayout.LowShift(other);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Shuffle(Vector256<short> scales, Vector256<byte> order) => Avx2.Shuffle(scales.AsByte(), order).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Finish(Vector256<float> y, Activations* x, Vector256<int> dot, Vector256<short> mins, float* factors)
    {
        y = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(dot), Vector256.Create(factors[0]), y);
        if (TLayout.HasMin)
        {
            Vector256<int> min = Avx2.MultiplyAddAdjacent(mins, Vector256.Load(x->Sums));
            y = Vector256.FusedMultiplyAdd(-Vector256.ConvertToSingle(min), Vector256.Create(factors[Group]), y);
        }

        return y;
    }

    /// <summary>A unit of an activation row.</summary>
    internal struct Activations
    {
        public fixed sbyte Codes[256];

        /// <summary>Sums of sixteen codes, the even ones before the odd ones.</summary>
        public fixed short Sums[16];

        /// <summary>Scales of this unit and those that follow it.</summary>
        public fixed float Scales[Group];
    }

    private struct Memory
    {
        /// <summary>Constants that pass through memory, because the JIT would read others from memory whenever they are needed.</summary>
        public fixed byte Constants[8 * 32];

        /// <summary>For each activation row, its scales times the d of some units, then times their dmin.</summary>
        public fixed float Factors[8 * 2 * Group];
    }
}
