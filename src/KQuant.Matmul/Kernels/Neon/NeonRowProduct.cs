using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// The product of weight rows of a K-quant with one to eight activation rows, on wire bytes. A block is unpacked once for all activation
/// rows; sub-blocks are scaled as integers, so there is one fused multiply-add per block and term. An activation row sums in four lanes of
/// its own and in the same order however many there are beside it.
/// </summary>
internal readonly unsafe struct NeonRowProduct<TCodes, TDot> : INeonProduct
    where TCodes : struct, INeonKCodes
    where TDot : struct, INeonDot
{
    /// <summary>Weight rows that stay in cache between the first activation rows and the others.</summary>
    private const int WeightRows = 8;

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
        int split = Split(rows);
        for (int row = 0; row < rows; row++)
        {
            nint from = rowIndices == null ? row : rowIndices[row];
            sbyte* codes = source.RowCodes(from);
            short* sums = source.RowSums(from);
            float* scales = source.RowScales(from);
            int first = row < split ? 0 : split, together = row < split ? split : rows - split;
            byte* tile = destination + ((nint)first * source.Units * UnitBytes);
            for (int u = 0; u < source.Units; u++, codes += 256, sums += 16)
            {
                byte* unit = tile + (((u * (nint)together) + row - first) * UnitBytes);
                for (int i = 0; i < 256; i += 16)
                {
                    AdvSimd.Store((sbyte*)unit + i, AdvSimd.LoadVector128(codes + i));
                }

                NeonSums.Store(sums, TCodes.HasMin, TCodes.SubBlock, unit + 256);
                *(float*)(unit + UnitBytes - 16) = scales[u];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(in ProductTask task, byte* scratch)
    {
        int split = Split(task.Rows);
        byte* second = task.Activations + ((nint)split * task.Units * UnitBytes);
        for (int n = 0; n < task.WeightRows; n += WeightRows)
        {
            byte* weights = task.Weights + (n * task.WeightRowBytes);
            int end = Math.Min(task.WeightRows, n + WeightRows);
            Multiply(split, weights, task.WeightRowBytes, n, end, task.Units, task.Activations, task.Outputs);
            if (split < task.Rows)
            {
                Multiply(task.Rows - split, weights, task.WeightRowBytes, n, end, task.Units, second, task.Outputs + split);
            }
        }
    }

    /// <summary>
    /// Activation rows that are multiplied first, when there are too many to go together. Registers would be enough for eight, but not what
    /// the JIT allows a method to inline.
    /// </summary>
    private static int Split(int rows) => rows > 4 ? (rows + 1) / 2 : rows;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply(int rows, byte* weights, nint rowBytes, int n, int end, int units, byte* x, float** outputs)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(weights, rowBytes, n, end, units, x, outputs); break;
            case 2: Multiply<Rows2>(weights, rowBytes, n, end, units, x, outputs); break;
            case 3: Multiply<Rows3>(weights, rowBytes, n, end, units, x, outputs); break;
            default: Multiply<Rows4>(weights, rowBytes, n, end, units, x, outputs); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int n, int end, int units, byte* activations, float** outputs)
        where TRows : struct, ITileRows
    {
        int next = UnitBytes;
        do
        {
            Vector128<float> y0 = default, y1 = default, y2 = default, y3 = default;
            byte* block = weights;
            byte* x = activations;
            int left = units;
            do
            {
                Vector128<int> i0 = default, i1 = default, i2 = default, i3 = default;
                TCodes.Scales(
                    block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh);
                Vector128<float> d = NeonScales.Of<TCodes>(block);

                TCodes.Unpack(block, 0, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
                i0 = Add(i0, x, 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 0, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 0, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 1, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 1, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 1, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 2, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 2, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 2, c0, c1, c2, c3, low, high);

                TCodes.Unpack(block, 3, out c0, out c1, out c2, out c3);
                i0 = Add(i0, x, 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 1) i1 = Add(i1, x + next, 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 2) i2 = Add(i2, x + (2 * next), 3, c0, c1, c2, c3, low, high);
                if (TRows.Count > 3) i3 = Add(i3, x + (3 * next), 3, c0, c1, c2, c3, low, high);

                y0 = Finish(y0, i0, x, d, minLow, minHigh);
                if (TRows.Count > 1) y1 = Finish(y1, i1, x + next, d, minLow, minHigh);
                if (TRows.Count > 2) y2 = Finish(y2, i2, x + (2 * next), d, minLow, minHigh);
                if (TRows.Count > 3) y3 = Finish(y3, i3, x + (3 * next), d, minLow, minHigh);
                block += TCodes.BlockBytes;
                x += TRows.Count * next;
            }
            while (--left != 0);

            outputs[0][n] = Total(y0);
            if (TRows.Count > 1) outputs[1][n] = Total(y1);
            if (TRows.Count > 2) outputs[2][n] = Total(y2);
            if (TRows.Count > 3) outputs[3][n] = Total(y3);
            weights += rowBytes;
        }
        while (++n < end);
    }

    /// <summary>Adds the products of a quarter of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Add(
        Vector128<int> sum, byte* x, int quarter,
        Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, Vector128<short> low, Vector128<short> high)
    {
        sbyte* codes = (sbyte*)x + (64 * quarter);
        Vector128<sbyte> x0 = AdvSimd.LoadVector128(codes), x1 = AdvSimd.LoadVector128(codes + 16);
        Vector128<sbyte> x2 = AdvSimd.LoadVector128(codes + 32), x3 = AdvSimd.LoadVector128(codes + 48);
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
            Vector128<short> sums = AdvSimd.LoadVector128((short*)(x + 256));
            Vector128<int> min = AdvSimd.MultiplyWideningLower(minLow.GetLower(), sums.GetLower());
            min = AdvSimd.MultiplyWideningUpperAndAdd(min, minLow, sums);
            if (TCodes.SubBlock == 16)
            {
                sums = AdvSimd.LoadVector128((short*)(x + 272));
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
