using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// A 32-wide codec. A block of a panel is eight vectors of signed codes, the scales of the four rows and their minima. In a tile, sixteen
/// codes of every row follow each other, and behind the codes are eight scales and eight sums times scales, whether there are as many rows
/// or not.
/// </summary>
internal readonly unsafe struct NeonFlatPanel<TCodes, TDot> : INeonPanel
    where TCodes : struct, INeonFlatCodes
    where TDot : struct, INeonDot
{
    private const int Vector = 16;
    private const int Codes = 8 * Vector;

    public static QuantFormat Format => TCodes.Format;

    public static KernelTier Tier => TDot.Tier;

    public static int BlocksPerUnit => 8;

    public static int BlockBytes => TCodes.BlockBytes;

    public static int PanelBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Codes + (TCodes.HasMin ? 2 * Vector : Vector);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int GetTileBytes(int rows) => (32 * rows) + (TCodes.HasMin ? 4 * Vector : 2 * Vector);

    public static void Arrange(sbyte* codes, short* sums, float scale, byte* tile, int row, int rows)
    {
        AdvSimd.LoadVector128(codes).Store((sbyte*)tile + (Vector * row));
        AdvSimd.LoadVector128(codes + Vector).Store((sbyte*)tile + (Vector * (rows + row)));
        float* scales = (float*)(tile + (2 * Vector * rows));
        scales[row] = scale;
        if (TCodes.HasMin)
        {
            scales[8 + row] = scale * sums[0];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* r0, byte* r1, byte* r2, byte* r3, byte* panel)
    {
        TCodes.Unpack(r0, out Vector128<sbyte> a0, out Vector128<sbyte> a1);
        TCodes.Unpack(r1, out Vector128<sbyte> b0, out Vector128<sbyte> b1);
        TCodes.Unpack(r2, out Vector128<sbyte> c0, out Vector128<sbyte> c1);
        TCodes.Unpack(r3, out Vector128<sbyte> d0, out Vector128<sbyte> d1);
        NeonPanelCodes.Store<TCodes, TDot>(a0, b0, c0, d0, (sbyte*)panel);
        NeonPanelCodes.Store<TCodes, TDot>(a1, b1, c1, d1, (sbyte*)panel + (4 * Vector));
        Vector128<uint> pairs = NeonScales.Read(r0, r1, r2, r3);
        NeonScales.First(pairs).Store((float*)(panel + Codes));
        if (TCodes.HasMin)
        {
            NeonScales.Second(pairs).Store((float*)(panel + Codes + Vector));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* panel, byte* tile, int blocks, float** outputs, nint first, int rows)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(panel, tile, blocks, outputs, first); break;
            case 2: Multiply<Rows2>(panel, tile, blocks, outputs, first); break;
            case 3: Multiply<Rows3>(panel, tile, blocks, outputs, first); break;
            case 4: Multiply<Rows4>(panel, tile, blocks, outputs, first); break;
            case 5: Multiply<Rows5>(panel, tile, blocks, outputs, first); break;
            case 6: Multiply<Rows6>(panel, tile, blocks, outputs, first); break;
            case 7: Multiply<Rows7>(panel, tile, blocks, outputs, first); break;
            default: Multiply<Rows8>(panel, tile, blocks, outputs, first); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* panel, byte* x, int blocks, float** outputs, nint first)
        where TRows : struct, ITileRows
    {
        Vector128<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
        y0 = AdvSimd.LoadVector128(outputs[0] + first);
        if (TRows.Count > 1) y1 = AdvSimd.LoadVector128(outputs[1] + first);
        if (TRows.Count > 2) y2 = AdvSimd.LoadVector128(outputs[2] + first);
        if (TRows.Count > 3) y3 = AdvSimd.LoadVector128(outputs[3] + first);
        if (TRows.Count > 4) y4 = AdvSimd.LoadVector128(outputs[4] + first);
        if (TRows.Count > 5) y5 = AdvSimd.LoadVector128(outputs[5] + first);
        if (TRows.Count > 6) y6 = AdvSimd.LoadVector128(outputs[6] + first);
        if (TRows.Count > 7) y7 = AdvSimd.LoadVector128(outputs[7] + first);
        for (int b = 0; b < blocks; b++)
        {
            Vector128<int> s0, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
            Load(panel, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
            s0 = Add(default, c0, c1, c2, c3, x);
            if (TRows.Count > 1) s1 = Add(default, c0, c1, c2, c3, x + Vector);
            if (TRows.Count > 2) s2 = Add(default, c0, c1, c2, c3, x + (2 * Vector));
            if (TRows.Count > 3) s3 = Add(default, c0, c1, c2, c3, x + (3 * Vector));
            if (TRows.Count > 4) s4 = Add(default, c0, c1, c2, c3, x + (4 * Vector));
            if (TRows.Count > 5) s5 = Add(default, c0, c1, c2, c3, x + (5 * Vector));
            if (TRows.Count > 6) s6 = Add(default, c0, c1, c2, c3, x + (6 * Vector));
            if (TRows.Count > 7) s7 = Add(default, c0, c1, c2, c3, x + (7 * Vector));

            x += TRows.Count * Vector;
            Load(panel + (4 * Vector), out c0, out c1, out c2, out c3);
            s0 = Add(s0, c0, c1, c2, c3, x);
            if (TRows.Count > 1) s1 = Add(s1, c0, c1, c2, c3, x + Vector);
            if (TRows.Count > 2) s2 = Add(s2, c0, c1, c2, c3, x + (2 * Vector));
            if (TRows.Count > 3) s3 = Add(s3, c0, c1, c2, c3, x + (3 * Vector));
            if (TRows.Count > 4) s4 = Add(s4, c0, c1, c2, c3, x + (4 * Vector));
            if (TRows.Count > 5) s5 = Add(s5, c0, c1, c2, c3, x + (5 * Vector));
            if (TRows.Count > 6) s6 = Add(s6, c0, c1, c2, c3, x + (6 * Vector));
            if (TRows.Count > 7) s7 = Add(s7, c0, c1, c2, c3, x + (7 * Vector));

            x += TRows.Count * Vector;
            float* scales = (float*)x;
            Vector128<float> d = AdvSimd.LoadVector128((float*)(panel + Codes)), low = AdvSimd.LoadVector128(scales), high = default;
            if (TRows.Count > 4) high = AdvSimd.LoadVector128(scales + 4);
            y0 = Finish(y0, s0, d, low, 0);
            if (TRows.Count > 1) y1 = Finish(y1, s1, d, low, 1);
            if (TRows.Count > 2) y2 = Finish(y2, s2, d, low, 2);
            if (TRows.Count > 3) y3 = Finish(y3, s3, d, low, 3);
            if (TRows.Count > 4) y4 = Finish(y4, s4, d, high, 0);
            if (TRows.Count > 5) y5 = Finish(y5, s5, d, high, 1);
            if (TRows.Count > 6) y6 = Finish(y6, s6, d, high, 2);
            if (TRows.Count > 7) y7 = Finish(y7, s7, d, high, 3);
            x += 2 * Vector;

            if (TCodes.HasMin)
            {
                Vector128<float> m = AdvSimd.LoadVector128((float*)(panel + Codes + Vector));
                low = AdvSimd.LoadVector128(scales + 8);
                if (TRows.Count > 4) high = AdvSimd.LoadVector128(scales + 12);
                y0 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y0, m, low, 0);
                if (TRows.Count > 1) y1 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y1, m, low, 1);
                if (TRows.Count > 2) y2 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y2, m, low, 2);
                if (TRows.Count > 3) y3 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y3, m, low, 3);
                if (TRows.Count > 4) y4 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y4, m, high, 0);
                if (TRows.Count > 5) y5 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y5, m, high, 1);
                if (TRows.Count > 6) y6 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y6, m, high, 2);
                if (TRows.Count > 7) y7 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(y7, m, high, 3);
                x += 2 * Vector;
            }

            panel += PanelBytes;
        }

        y0.Store(outputs[0] + first);
        if (TRows.Count > 1) y1.Store(outputs[1] + first);
        if (TRows.Count > 2) y2.Store(outputs[2] + first);
        if (TRows.Count > 3) y3.Store(outputs[3] + first);
        if (TRows.Count > 4) y4.Store(outputs[4] + first);
        if (TRows.Count > 5) y5.Store(outputs[5] + first);
        if (TRows.Count > 6) y6.Store(outputs[6] + first);
        if (TRows.Count > 7) y7.Store(outputs[7] + first);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(
        byte* codes, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        c0 = AdvSimd.LoadVector128((sbyte*)codes);
        c1 = AdvSimd.LoadVector128((sbyte*)codes + Vector);
        c2 = AdvSimd.LoadVector128((sbyte*)codes + (2 * Vector));
        c3 = AdvSimd.LoadVector128((sbyte*)codes + (3 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Add(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, byte* x) =>
        TDot.AddRows(sum, c0, c1, c2, c3, AdvSimd.LoadVector128((sbyte*)x), TCodes.MaxCode >> TCodes.Shift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Finish(Vector128<float> y, Vector128<int> dot, Vector128<float> d, Vector128<float> scales, int row)
    {
        Vector128<float> factor = AdvSimd.MultiplyBySelectedScalar(d, scales, (byte)row);
        return AdvSimd.FusedMultiplyAdd(y, AdvSimd.ConvertToSingle(dot), factor);
    }
}
