using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// The product of consecutive weight rows of a K-quant with one to eight activation rows, on wire bytes. A block is unpacked once for all
/// activation rows. An activation row sums in sixteen lanes of its own and in the same order however many there are beside it.
/// </summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx512RowKernel<TFormat>(int preferredRows) : ProductKernel(TFormat.Format, KernelTier.Avx512, "row")
    where TFormat : struct, IAvx512RowFormat
{
    private const int Vector = 64;

    /// <summary>Units whose small print is read together, those of several weight rows if they are short.</summary>
    private const int Group = 16;

    private const int CacheLine = 64;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 12288;

    /// <summary>Bytes of a unit of an arranged activation row: codes and, if weights have an offset, what it amounts to for every two of them.</summary>
    private static int UnitBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.Offset == 0 ? 4 * Vector : 8 * Vector;
    }

    /// <summary>Bytes that follow the units of a group: pairs of sums and scales, a unit in every lane.</summary>
    private static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (TFormat.MinPairs + 1) * Vector;
    }

    public override bool IsCanonical => false;

    public override int MaxRows => 8;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    /// <summary>Scales and minima of eight activation rows, a vector each, and the small print.</summary>
    public override nint GetScratchBytes(int units) => (16 * Vector) + sizeof(SmallPrint);

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * ((units + Group - 1) / Group) * ((Group * UnitBytes) + FactorBytes);

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            nint from = rowIndices == null ? row : rowIndices[row];
            Arrange(source.RowCodes(from), source.RowSums(from), source.RowScales(from), source.Units, row, rows, destination);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 4: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 5: Multiply<Rows5>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 6: Multiply<Rows6>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            case 7: Multiply<Rows7>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
            default: Multiply<Rows8>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs, scratch); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int units, byte* x, float** outputs, byte* scratch)
        where TRows : struct, ITileRows
    {
        int unitBytes = UnitBytes;
        int rowsPerRead = rowBytes == (nint)units * TFormat.BlockBytes ? RowsPerGroup(units) : 1;
        Vector512<float> own = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(rowsPerRead > 1 ? units : Group)).AsSingle();
        float* scales = (float*)scratch, mins = scales + (8 * Group);
        var print = (SmallPrint*)(mins + (8 * Group));
        *print = default;
        for (int n = 0; n < weightRows; n++)
        {
            Vector512<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            byte* block = weights + (n * rowBytes);
            byte* group = x;
            int lane = (n & (rowsPerRead - 1)) * units;
            for (int unit = 0; unit < units; unit += Group)
            {
                int count = Math.Min(Group, units - unit);
                byte* codes = group;
                group += TRows.Count * Group * unitBytes;
                if (lane == 0)
                {
                    TFormat.Read(block, rowsPerRead == 1 ? count : Math.Min(Group, (weightRows - n) * units), print);
                    for (int r = 0; r < TRows.Count; r++)
                    {
                        Scale(print, group + (r * FactorBytes), scales + (r * Group), mins + (r * Group), unit == 0);
                    }
                }

                group += TRows.Count * FactorBytes;
                byte* unitScales = print->Scales + (lane * TFormat.ScaleBytes);
                float* end = scales + lane + count;
                for (float* scale = scales + lane; scale < end; scale++, unitScales += TFormat.ScaleBytes)
                {
                    for (int i = 0; i < TFormat.BlockBytes; i += CacheLine)
                    {
                        Sse.Prefetch0(block + Ahead + i);
                    }

                    TFormat.Unpack(block, unitScales, out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
                        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3);
                    y0 = Add(y0, codes, scale, c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 1) y1 = Add(y1, codes + unitBytes, scale + Group, c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 2) y2 = Add(y2, codes + (2 * unitBytes), scale + (2 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 3) y3 = Add(y3, codes + (3 * unitBytes), scale + (3 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 4) y4 = Add(y4, codes + (4 * unitBytes), scale + (4 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 5) y5 = Add(y5, codes + (5 * unitBytes), scale + (5 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 6) y6 = Add(y6, codes + (6 * unitBytes), scale + (6 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    if (TRows.Count > 7) y7 = Add(y7, codes + (7 * unitBytes), scale + (7 * Group), c0, c1, c2, c3, s0, s1, s2, s3);
                    block += TFormat.BlockBytes;
                    codes += TRows.Count * unitBytes;
                }
            }

            outputs[0][n] = Total(y0, mins + lane, own);
            if (TRows.Count > 1) outputs[1][n] = Total(y1, mins + lane + Group, own);
            if (TRows.Count > 2) outputs[2][n] = Total(y2, mins + lane + (2 * Group), own);
            if (TRows.Count > 3) outputs[3][n] = Total(y3, mins + lane + (3 * Group), own);
            if (TRows.Count > 4) outputs[4][n] = Total(y4, mins + lane + (4 * Group), own);
            if (TRows.Count > 5) outputs[5][n] = Total(y5, mins + lane + (5 * Group), own);
            if (TRows.Count > 6) outputs[6][n] = Total(y6, mins + lane + (6 * Group), own);
            if (TRows.Count > 7) outputs[7][n] = Total(y7, mins + lane + (7 * Group), own);
        }
    }

    /// <summary>Multiplies the scales of a group by those of an activation row, and takes care of its minima, a unit in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale(SmallPrint* print, byte* factors, float* scales, float* mins, bool isFirst)
    {
        Vector512<float> x = Vector512.Load((float*)(factors + (TFormat.MinPairs * Vector)));
        (Vector512.Load(print->D) * x).Store(scales);
        if (TFormat.MinPairs > 0)
        {
            Vector512<int> min = Avx512BW.MultiplyAddAdjacent(Vector512.Load(print->Mins), Vector512.Load((short*)factors));
            for (int p = 1; p < TFormat.MinPairs; p++)
            {
                min += Avx512BW.MultiplyAddAdjacent(Vector512.Load(print->Mins + (32 * p)), Vector512.Load((short*)(factors + (p * Vector))));
            }

            Vector512<float> sum = isFirst ? Vector512<float>.Zero : Vector512.Load(mins);
            Avx512F.FusedMultiplyAddNegated(Vector512.ConvertToSingle(min), Vector512.Load(print->DMin) * x, sum).Store(mins);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(
        Vector512<float> y, byte* x, float* scale,
        Vector512<byte> c0, Vector512<byte> c1, Vector512<byte> c2, Vector512<byte> c3,
        Vector512<short> s0, Vector512<short> s1, Vector512<short> s2, Vector512<short> s3)
    {
        Vector512<short> p0 = Avx512BW.MultiplyAddAdjacent(c0, Vector512.Load((sbyte*)x));
        Vector512<short> p1 = Avx512BW.MultiplyAddAdjacent(c1, Vector512.Load((sbyte*)x + Vector));
        Vector512<short> p2 = Avx512BW.MultiplyAddAdjacent(c2, Vector512.Load((sbyte*)x + (2 * Vector)));
        Vector512<short> p3 = Avx512BW.MultiplyAddAdjacent(c3, Vector512.Load((sbyte*)x + (3 * Vector)));
        if (TFormat.Offset != 0)
        {
            p0 -= Vector512.Load((short*)(x + (4 * Vector)));
            p1 -= Vector512.Load((short*)(x + (5 * Vector)));
            p2 -= Vector512.Load((short*)(x + (6 * Vector)));
            p3 -= Vector512.Load((short*)(x + (7 * Vector)));
        }

        Vector512<int> dot = (Avx512BW.MultiplyAddAdjacent(p0, s0) + Avx512BW.MultiplyAddAdjacent(p1, s1))
            + (Avx512BW.MultiplyAddAdjacent(p2, s2) + Avx512BW.MultiplyAddAdjacent(p3, s3));
        return Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), Vector512.Create(*scale), y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Total(Vector512<float> y, float* mins, Vector512<float> own) =>
        Vector512.Sum(TFormat.MinPairs > 0 ? y + (Vector512.Load(mins) & own) : y);

    /// <summary>How many weight rows a group holds.</summary>
    private static int RowsPerGroup(int units) => units is 1 or 2 or 4 or 8 ? Group / units : 1;

    /// <summary>Arranges one activation row.</summary>
    private static void Arrange(sbyte* codes, short* sums, float* scales, int units, int row, int rows, byte* x)
    {
        for (int unit = 0; unit < units; unit += Group)
        {
            int count = Math.Min(Group, units - unit);
            for (int u = 0; u < count; u++, codes += 256)
            {
                ArrangeUnit(codes, x + (((u * rows) + row) * UnitBytes));
            }

            x += rows * Group * UnitBytes;
            byte* factors = x + (row * FactorBytes);
            Unsafe.InitBlockUnaligned(factors, 0, (uint)FactorBytes);
            for (int u = 0; u < count; u++, sums += 16)
            {
                for (int p = 0; p < TFormat.MinPairs; p++)
                {
                    short* pair = (short*)(factors + (p * Vector)) + (2 * u);
                    pair[0] = (short)(TFormat.MinPairs == 8 ? sums[2 * p] : sums[4 * p] + sums[(4 * p) + 1]);
                    pair[1] = (short)(TFormat.MinPairs == 8 ? sums[(2 * p) + 1] : sums[(4 * p) + 2] + sums[(4 * p) + 3]);
                }

                *((float*)(factors + (TFormat.MinPairs * Vector)) + u) = *scales++;
            }

            for (int repeated = count; repeated < RowsPerGroup(units) * count; repeated += count)
            {
                for (int p = 0; p <= TFormat.MinPairs; p++)
                {
                    new Span<int>(factors + (p * Vector), count).CopyTo(new Span<int>(factors + (p * Vector), Group)[repeated..]);
                }
            }

            x += rows * FactorBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ArrangeUnit(sbyte* codes, byte* x)
    {
        ReadOnlySpan<byte> order = TFormat.Order;
        for (int i = 0; i < 16; i++)
        {
            Vector128.Load(codes + (16 * order[i])).Store((sbyte*)x + (16 * i));
        }

        if (TFormat.Offset != 0)
        {
            for (int i = 0; i < 16; i++)
            {
                Vector128<sbyte> part = Vector128.Load(codes + (16 * order[i]));
                Ssse3.MultiplyAddAdjacent(Vector128.Create(TFormat.Offset), part).Store((short*)(x + (4 * Vector) + (16 * i)));
            }
        }
    }
}
