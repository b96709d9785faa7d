using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Panels;

namespace KQuant.Matmul.Rows.Neon;

/// <summary>
/// The product of weight rows of a K-quant with one to eight activation rows, on wire bytes. A block is unpacked once for all activation rows;
/// sub-blocks are scaled as integers, so there is one fused multiply-add per block and term. An activation row sums in four lanes of its own
/// and in the same order however many there are beside it.
/// </summary>
internal readonly unsafe struct NeonRow<TCodes, TDot> : INeonProduct
    where TCodes : struct, INeonKCodes
    where TDot : struct, INeonDot
{
    public static QuantFormat Format => TCodes.Format;

    public static KernelTier Tier => TDot.Tier;

    public static string Name => "row";

    public static bool IsCanonical => false;

    public static int MaxRows => 8;

    public static int Granule => 1;

    /// <summary>Bytes of a unit of an arranged activation row: codes, sums as the minima want them, the scale.</summary>
    private static int UnitBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 256 + NeonSums.Bytes(TCodes.HasMin, TCodes.SubBlock) + 16;
    }

    public static nint GetActivationBytes(int rows, int units) => (nint)rows * units * UnitBytes;

    public static nint GetScratchBytes(int units) => 0;

    public static void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            nint from = rowIndices == null ? row : rowIndices[row];
            sbyte* codes = source.RowCodes(from);
            short* sums = source.RowSums(from);
            float* scales = source.RowScales(from);
            for (int u = 0; u < source.Units; u++, codes += 256, sums += 16)
            {
                byte* unit = destination + (((u * (nint)rows) + row) * UnitBytes);
                for (int i = 0; i < 256; i += 16)
                {
                    Vector128.Load(codes + i).Store((sbyte*)unit + i);
                }

                NeonSums.Store(sums, TCodes.HasMin, TCodes.SubBlock, unit + 256);
                *(float*)(unit + UnitBytes - 16) = scales[u];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(in ProductTask task, byte* scratch)
    {
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 4: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 5: Multiply<Rows5>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 6: Multiply<Rows6>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            case 7: Multiply<Rows7>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
            default: Multiply<Rows8>(task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Outputs); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int units, byte* activations, float** outputs)
        where TRows : struct, ITileRows
    {
        int next = UnitBytes;
        for (int n = 0; n < weightRows; n++)
        {
            Vector128<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            byte* block = weights + (n * rowBytes);
            byte* x = activations;
            for (int u = 0; u < units; u++)
            {
                Vector128<int> i0 = default, i1 = default, i2 = default, i3 = default, i4 = default, i5 = default, i6 = default, i7 = default;
                TCodes.Scales(block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh);
                Vector128<float> d = NeonScales.Of<TCodes>(block);

                TCodes.Unpack(block, 0, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
                i0 = Add(i0, x, 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 4) i4 = Add(i4, x + (4 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 5) i5 = Add(i5, x + (5 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 6) i6 = Add(i6, x + (6 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 7) i7 = Add(i7, x + (7 * next), 0, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 1, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 4) i4 = Add(i4, x + (4 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 5) i5 = Add(i5, x + (5 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 6) i6 = Add(i6, x + (6 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 7) i7 = Add(i7, x + (7 * next), 1, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 2, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 4) i4 = Add(i4, x + (4 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 5) i5 = Add(i5, x + (5 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 6) i6 = Add(i6, x + (6 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 7) i7 = Add(i7, x + (7 * next), 2, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 3, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 4) i4 = Add(i4, x + (4 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 5) i5 = Add(i5, x + (5 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 6) i6 = Add(i6, x + (6 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 7) i7 = Add(i7, x + (7 * next), 3, c0, c1, c2, c3, low, high);

                y0 = Finish(y0, i0, x, d, minLow, minHigh);
                if (TRows.Count > 1) y1 = Finish(y1, i1, x + next, d, minLow, minHigh);
                if (TRows.Count > 2) y2 = Finish(y2, i2, x + (2 * next), d, minLow, minHigh);
                if (TRows.Count > 3) y3 = Finish(y3, i3, x + (3 * next), d, minLow, minHigh);
                if (TRows.Count > 4) y4 = Finish(y4, i4, x + (4 * next), d, minLow, minHigh);
                if (TRows.Count > 5) y5 = Finish(y5, i5, x + (5 * next), d, minLow, minHigh);
                if (TRows.Count > 6) y6 = Finish(y6, i6, x + (6 * next), d, minLow, minHigh);
                if (TRows.Count > 7) y7 = Finish(y7, i7, x + (7 * next), d, minLow, minHigh);
                block += TCodes.BlockBytes;
                x += TRows.Count * next;
            }

            outputs[0][n] = Total(y0);
            if (TRows.Count > 1) outputs[1][n] = Total(y1);
            if (TRows.Count > 2) outputs[2][n] = Total(y2);
            if (TRows.Count > 3) outputs[3][n] = Total(y3);
            if (TRows.Count > 4) outputs[4][n] = Total(y4);
            if (TRows.Count > 5) outputs[5][n] = Total(y5);
            if (TRows.Count > 6) outputs[6][n] = Total(y6);
            if (TRows.Count > 7) outputs[7][n] = Total(y7);
        }
    }

    /// <summary>Adds the products of a quarter of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Add(
        Vector128<int> sum, byte* x, int quarter,
        Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, Vector128<short> low, Vector128<short> high)
    {
        sbyte* codes = (sbyte*)x + (64 * quarter);
        Vector128<sbyte> x0 = Vector128.Load(codes), x1 = Vector128.Load(codes + 16), x2 = Vector128.Load(codes + 32), x3 = Vector128.Load(codes + 48);
        if (TCodes.SubBlock == 32)
        {
            sum = TDot.AddScaled(sum, c0, c1, x0, x1, low, 2 * quarter);
            return TDot.AddScaled(sum, c2, c3, x2, x3, low, (2 * quarter) + 1);
        }

        Vector128<short> scales = quarter < 2 ? low : high;
        int first = 4 * (quarter % 2);
        sum = TDot.AddScaled(sum, c0, x0, scales, first);
        sum = TDot.AddScaled(sum, c1, x1, scales, first + 1);
        sum = TDot.AddScaled(sum, c2, x2, scales, first + 2);
        return TDot.AddScaled(sum, c3, x3, scales, first + 3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Finish(
        Vector128<float> y, Vector128<int> dot, byte* x, Vector128<float> d, Vector128<short> minLow, Vector128<short> minHigh)
    {
        Vector128<float> scales = AdvSimd.MultiplyByScalar(d, Vector64.CreateScalarUnsafe(*(float*)(x + UnitBytes - 16)));
        y = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y, AdvSimd.ConvertToSingle(dot), scales, 0);
        if (TCodes.HasMin)
        {
            Vector128<short> sums = Vector128.Load((short*)(x + 256));
            Vector128<int> min = AdvSimd.MultiplyWideningLower(minLow.GetLower(), sums.GetLower());
            min = AdvSimd.MultiplyWideningUpperAndAdd(min, minLow, sums);
            if (TCodes.SubBlock == 16)
            {
                sums = Vector128.Load((short*)(x + 272));
                min = AdvSimd.MultiplyWideningLowerAndAdd(min, minHigh.GetLower(), sums.GetLower());
                min = AdvSimd.MultiplyWideningUpperAndAdd(min, minHigh, sums);
            }

            y = AdvSimd.Arm64.FusedMultiplySubtractBySelectedScalar(y, AdvSimd.ConvertToSingle(min), scales, 1);
        }

        return y;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Total(Vector128<float> y)
    {
        Vector128<float> pairs = AdvSimd.Arm64.AddPairwise(y, y);
        return AdvSimd.Arm64.AddPairwiseScalar(pairs.GetLower()).ToScalar() * (1f / (1 << TCodes.Shift));
    }
}
