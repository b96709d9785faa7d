using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// The product of weight rows of a 32-wide codec with one to eight activation rows, on wire bytes. Four blocks go together: their scales
/// are converted at once. An activation row sums in four lanes of its own and in the same order however many there are beside it.
/// </summary>
internal readonly unsafe struct NeonFlatRowProduct<TCodes, TDot> : INeonProduct
    where TCodes : struct, INeonFlatCodes
    where TDot : struct, INeonDot
{
    /// <summary>Blocks that go together.</summary>
    private const int Group = 4;

    /// <summary>
    /// Where the scales of a group of an arranged activation row are, behind its codes, and where scales times sums of codes are.
    /// </summary>
    private const int Scales = 32 * Group, Sums = Scales + 16;

    public static QuantFormat Format => TCodes.Format;

    public static KernelTier Tier => TDot.Tier;

    public static string Name => "row";

    public static bool IsCanonical => false;

    public static int MaxRows => 8;

    public static int Granule => 1;

    private static int GroupBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TCodes.HasMin ? Sums + 16 : Sums;
    }

    public static nint GetActivationBytes(int rows, int units) => (nint)rows * units * (8 / Group) * GroupBytes;

    public static nint GetScratchBytes(int units) => 0;

    public static void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            nint from = rowIndices == null ? row : rowIndices[row];
            sbyte* codes = source.RowCodes(from);
            short* sums = source.RowSums(from);
            float* scales = source.RowScales(from);
            for (int g = 0; g < source.Units * (8 / Group); g++, codes += 32 * Group, sums += Group, scales += Group)
            {
                byte* group = destination + (((g * (nint)rows) + row) * GroupBytes);
                for (int i = 0; i < 32 * Group; i += 16)
                {
                    AdvSimd.LoadVector128(codes + i).Store((sbyte*)group + i);
                }

                Vector128<float> scale = AdvSimd.LoadVector128(scales);
                scale.Store((float*)(group + Scales));
                if (TCodes.HasMin)
                {
                    (scale * NeonSums.LoadFour(sums)).Store((float*)(group + Sums));
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(in ProductTask task, byte* scratch)
    {
        int blocks = (8 * (task.Units - 1)) + task.TailBlocks;
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 4: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 5: Multiply<Rows5>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 6: Multiply<Rows6>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            case 7: Multiply<Rows7>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
            default: Multiply<Rows8>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int blocks, byte* activations, float** outputs)
        where TRows : struct, ITileRows
    {
        int next = GroupBytes, n = 0;
        do
        {
            Vector128<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            Vector128<float> s0, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
            byte* block = weights + (n * rowBytes);
            byte* x = activations;
            int left = blocks;
            do
            {
                Vector128<uint> pairs = NeonScales.Read(block, TCodes.BlockBytes, left);
                Vector128<float> d = NeonScales.First(pairs);
                s0 = Scale(d, x);
                if (TRows.Count > 1) s1 = Scale(d, x + next);
                if (TRows.Count > 2) s2 = Scale(d, x + (2 * next));
                if (TRows.Count > 3) s3 = Scale(d, x + (3 * next));
                if (TRows.Count > 4) s4 = Scale(d, x + (4 * next));
                if (TRows.Count > 5) s5 = Scale(d, x + (5 * next));
                if (TRows.Count > 6) s6 = Scale(d, x + (6 * next));
                if (TRows.Count > 7) s7 = Scale(d, x + (7 * next));

                if (TCodes.HasMin)
                {
                    Vector128<float> m = NeonScales.Second(pairs);
                    y0 = AddMin(y0, m, x);
                    if (TRows.Count > 1) y1 = AddMin(y1, m, x + next);
                    if (TRows.Count > 2) y2 = AddMin(y2, m, x + (2 * next));
                    if (TRows.Count > 3) y3 = AddMin(y3, m, x + (3 * next));
                    if (TRows.Count > 4) y4 = AddMin(y4, m, x + (4 * next));
                    if (TRows.Count > 5) y5 = AddMin(y5, m, x + (5 * next));
                    if (TRows.Count > 6) y6 = AddMin(y6, m, x + (6 * next));
                    if (TRows.Count > 7) y7 = AddMin(y7, m, x + (7 * next));
                }

                TCodes.Unpack(block, out Vector128<sbyte> c0, out Vector128<sbyte> c1);
                y0 = Add(y0, x, 0, c0, c1, s0);
                if (TRows.Count > 1) y1 = Add(y1, x + next, 0, c0, c1, s1);
                if (TRows.Count > 2) y2 = Add(y2, x + (2 * next), 0, c0, c1, s2);
                if (TRows.Count > 3) y3 = Add(y3, x + (3 * next), 0, c0, c1, s3);
                if (TRows.Count > 4) y4 = Add(y4, x + (4 * next), 0, c0, c1, s4);
                if (TRows.Count > 5) y5 = Add(y5, x + (5 * next), 0, c0, c1, s5);
                if (TRows.Count > 6) y6 = Add(y6, x + (6 * next), 0, c0, c1, s6);
                if (TRows.Count > 7) y7 = Add(y7, x + (7 * next), 0, c0, c1, s7);

                if (left > 1)
                {
                    TCodes.Unpack(block + TCodes.BlockBytes, out c0, out c1);
                    y0 = Add(y0, x, 1, c0, c1, s0);
                    if (TRows.Count > 1) y1 = Add(y1, x + next, 1, c0, c1, s1);
                    if (TRows.Count > 2) y2 = Add(y2, x + (2 * next), 1, c0, c1, s2);
                    if (TRows.Count > 3) y3 = Add(y3, x + (3 * next), 1, c0, c1, s3);
                    if (TRows.Count > 4) y4 = Add(y4, x + (4 * next), 1, c0, c1, s4);
                    if (TRows.Count > 5) y5 = Add(y5, x + (5 * next), 1, c0, c1, s5);
                    if (TRows.Count > 6) y6 = Add(y6, x + (6 * next), 1, c0, c1, s6);
                    if (TRows.Count > 7) y7 = Add(y7, x + (7 * next), 1, c0, c1, s7);
                }

                if (left > 2)
                {
                    TCodes.Unpack(block + (2 * TCodes.BlockBytes), out c0, out c1);
                    y0 = Add(y0, x, 2, c0, c1, s0);
                    if (TRows.Count > 1) y1 = Add(y1, x + next, 2, c0, c1, s1);
                    if (TRows.Count > 2) y2 = Add(y2, x + (2 * next), 2, c0, c1, s2);
                    if (TRows.Count > 3) y3 = Add(y3, x + (3 * next), 2, c0, c1, s3);
                    if (TRows.Count > 4) y4 = Add(y4, x + (4 * next), 2, c0, c1, s4);
                    if (TRows.Count > 5) y5 = Add(y5, x + (5 * next), 2, c0, c1, s5);
                    if (TRows.Count > 6) y6 = Add(y6, x + (6 * next), 2, c0, c1, s6);
                    if (TRows.Count > 7) y7 = Add(y7, x + (7 * next), 2, c0, c1, s7);
                }

                if (left > 3)
                {
                    TCodes.Unpack(block + (3 * TCodes.BlockBytes), out c0, out c1);
                    y0 = Add(y0, x, 3, c0, c1, s0);
                    if (TRows.Count > 1) y1 = Add(y1, x + next, 3, c0, c1, s1);
                    if (TRows.Count > 2) y2 = Add(y2, x + (2 * next), 3, c0, c1, s2);
                    if (TRows.Count > 3) y3 = Add(y3, x + (3 * next), 3, c0, c1, s3);
                    if (TRows.Count > 4) y4 = Add(y4, x + (4 * next), 3, c0, c1, s4);
                    if (TRows.Count > 5) y5 = Add(y5, x + (5 * next), 3, c0, c1, s5);
                    if (TRows.Count > 6) y6 = Add(y6, x + (6 * next), 3, c0, c1, s6);
                    if (TRows.Count > 7) y7 = Add(y7, x + (7 * next), 3, c0, c1, s7);
                }

                block += Group * TCodes.BlockBytes;
                x += TRows.Count * next;
                left -= Group;
            }
            while (left > 0);

            outputs[0][n] = Total(y0);
            if (TRows.Count > 1) outputs[1][n] = Total(y1);
            if (TRows.Count > 2) outputs[2][n] = Total(y2);
            if (TRows.Count > 3) outputs[3][n] = Total(y3);
            if (TRows.Count > 4) outputs[4][n] = Total(y4);
            if (TRows.Count > 5) outputs[5][n] = Total(y5);
            if (TRows.Count > 6) outputs[6][n] = Total(y6);
            if (TRows.Count > 7) outputs[7][n] = Total(y7);
        }
        while (++n < weightRows);
    }

    /// <summary>What the products of each block of a group are multiplied with.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Scale(Vector128<float> d, byte* x) => d * AdvSimd.LoadVector128((float*)(x + Scales));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> AddMin(Vector128<float> y, Vector128<float> m, byte* x) =>
        AdvSimd.FusedMultiplyAdd(y, m, AdvSimd.LoadVector128((float*)(x + Sums)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Add(
        Vector128<float> y, byte* x, int block, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<float> scales)
    {
        sbyte* codes = (sbyte*)x + (32 * block);
        Vector128<int> dot = TDot.Dot(c0, c1, AdvSimd.LoadVector128(codes), AdvSimd.LoadVector128(codes + 16), TCodes.MaxCode);
        return AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y, AdvSimd.ConvertToSingle(dot), scales, (byte)block);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Total(Vector128<float> y)
    {
        Vector128<float> pairs = AdvSimd.Arm64.AddPairwise(y, y);
        return AdvSimd.Arm64.AddPairwiseScalar(pairs.GetLower()).ToScalar() * (1f / (1 << TCodes.Shift));
    }
}
