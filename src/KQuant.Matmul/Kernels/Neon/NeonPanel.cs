using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// A K-quant. A block of a panel is 64 vectors of signed codes, the integer scales of the four rows for every sub-block (32 bits), the
/// minima of two sub-blocks in every vector (16 bits), d and dmin. In a tile, sixteen codes of every row follow each other.
/// </summary>
internal readonly unsafe struct NeonPanel<TCodes, TDot> : INeonPanel
    where TCodes : struct, INeonKCodes
    where TDot : struct, INeonDot
{
    private const int Vector = 16;
    private const int Codes = 64 * Vector;

    /// <summary>The largest magnitude of a code of a K-quant, that of q6_K.</summary>
    private const int MaxCode = 32;

    public static QuantFormat Format => TCodes.Format;

    public static KernelTier Tier => TDot.Tier;

    public static int BlocksPerUnit => 1;

    public static int BlockBytes => TCodes.BlockBytes;

    public static int PanelBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Factors + (2 * Vector);
    }

    private static int SubBlocks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 256 / TCodes.SubBlock;
    }

    private static int SumBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => NeonSums.Bytes(TCodes.HasMin, TCodes.SubBlock);
    }

    private static int Mins
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Codes + (SubBlocks * Vector);
    }

    /// <summary>Where d and dmin are.</summary>
    private static int Factors
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Mins + (TCodes.HasMin ? SubBlocks * Vector / 2 : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int GetTileBytes(int rows) => rows * (256 + SumBytes + sizeof(float));

    public static void Arrange(sbyte* codes, short* sums, float scale, byte* tile, int row, int rows)
    {
        for (int i = 0; i < 16; i++)
        {
            AdvSimd.LoadVector128(codes + (16 * i)).Store((sbyte*)tile + (16 * ((i * rows) + row)));
        }

        NeonSums.Store(sums, TCodes.HasMin, TCodes.SubBlock, tile + (256 * rows) + (row * SumBytes));
        ((float*)(tile + ((256 + SumBytes) * rows)))[row] = scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* r0, byte* r1, byte* r2, byte* r3, byte* panel)
    {
        Quarter(r0, r1, r2, r3, 0, panel);
        Quarter(r0, r1, r2, r3, 1, panel);
        Quarter(r0, r1, r2, r3, 2, panel);
        Quarter(r0, r1, r2, r3, 3, panel);
        ExpandFactors(r0, r1, r2, r3, panel);
    }

    // A method of its own, because there is a limit to what one may inline.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ExpandFactors(byte* r0, byte* r1, byte* r2, byte* r3, byte* panel)
    {
        TCodes.Scales(
            r0, out Vector128<short> low0, out Vector128<short> high0, out Vector128<short> minLow0, out Vector128<short> minHigh0);
        TCodes.Scales(
            r1, out Vector128<short> low1, out Vector128<short> high1, out Vector128<short> minLow1, out Vector128<short> minHigh1);
        TCodes.Scales(
            r2, out Vector128<short> low2, out Vector128<short> high2, out Vector128<short> minLow2, out Vector128<short> minHigh2);
        TCodes.Scales(
            r3, out Vector128<short> low3, out Vector128<short> high3, out Vector128<short> minLow3, out Vector128<short> minHigh3);
        Interleave(
            low0, low1, low2, low3, out Vector128<short> p0, out Vector128<short> p1, out Vector128<short> p2, out Vector128<short> p3);
        StoreScales(p0, p1, p2, p3, (int*)(panel + Codes));
        if (TCodes.SubBlock == 16)
        {
            Interleave(high0, high1, high2, high3, out p0, out p1, out p2, out p3);
            StoreScales(p0, p1, p2, p3, (int*)(panel + Codes + (8 * Vector)));
        }

        if (TCodes.HasMin)
        {
            Interleave(minLow0, minLow1, minLow2, minLow3, out p0, out p1, out p2, out p3);
            StoreMins(p0, p1, p2, p3, (short*)(panel + Mins));
            if (TCodes.SubBlock == 16)
            {
                Interleave(minHigh0, minHigh1, minHigh2, minHigh3, out p0, out p1, out p2, out p3);
                StoreMins(p0, p1, p2, p3, (short*)(panel + Mins + (4 * Vector)));
            }
        }

        // A scale without a minimum is the last thing in a block: it is read together with what is before it.
        int offset = TCodes.HasMin ? TCodes.ScaleOffset : TCodes.ScaleOffset - sizeof(ushort);
        Vector128<uint> pairs = NeonScales.Read(r0 + offset, r1 + offset, r2 + offset, r3 + offset);
        if (TCodes.HasMin)
        {
            NeonScales.First(pairs).Store((float*)(panel + Factors));
            NeonScales.Second(pairs).Store((float*)(panel + Factors + Vector));
        }
        else
        {
            NeonScales.Second(pairs).Store((float*)(panel + Factors));
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
        int sums = SumBytes, panelBytes = PanelBytes, scaleBytes = SubBlocks * Vector;
        for (int b = 0; b < blocks; b++)
        {
            Vector128<int> i0 = default, i1 = default, i2 = default, i3 = default, i4 = default, i5 = default, i6 = default, i7 = default;
            Vector128<int> s0, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
            byte* scales = panel + Codes;
            byte* codes = panel;
            for (byte* end = scales + scaleBytes; scales != end; scales += Vector)
            {
                Load(codes, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
                s0 = Add(default, c0, c1, c2, c3, x);
                if (TRows.Count > 1) s1 = Add(default, c0, c1, c2, c3, x + Vector);
                if (TRows.Count > 2) s2 = Add(default, c0, c1, c2, c3, x + (2 * Vector));
                if (TRows.Count > 3) s3 = Add(default, c0, c1, c2, c3, x + (3 * Vector));
                if (TRows.Count > 4) s4 = Add(default, c0, c1, c2, c3, x + (4 * Vector));
                if (TRows.Count > 5) s5 = Add(default, c0, c1, c2, c3, x + (5 * Vector));
                if (TRows.Count > 6) s6 = Add(default, c0, c1, c2, c3, x + (6 * Vector));
                if (TRows.Count > 7) s7 = Add(default, c0, c1, c2, c3, x + (7 * Vector));
                codes += 4 * Vector;
                x += TRows.Count * Vector;
                if (TCodes.SubBlock == 32)
                {
                    Load(codes, out c0, out c1, out c2, out c3);
                    s0 = Add(s0, c0, c1, c2, c3, x);
                    if (TRows.Count > 1) s1 = Add(s1, c0, c1, c2, c3, x + Vector);
                    if (TRows.Count > 2) s2 = Add(s2, c0, c1, c2, c3, x + (2 * Vector));
                    if (TRows.Count > 3) s3 = Add(s3, c0, c1, c2, c3, x + (3 * Vector));
                    if (TRows.Count > 4) s4 = Add(s4, c0, c1, c2, c3, x + (4 * Vector));
                    if (TRows.Count > 5) s5 = Add(s5, c0, c1, c2, c3, x + (5 * Vector));
                    if (TRows.Count > 6) s6 = Add(s6, c0, c1, c2, c3, x + (6 * Vector));
                    if (TRows.Count > 7) s7 = Add(s7, c0, c1, c2, c3, x + (7 * Vector));
                    codes += 4 * Vector;
                    x += TRows.Count * Vector;
                }

                Vector128<int> scale = AdvSimd.LoadVector128((int*)scales);
                i0 = AdvSimd.MultiplyAdd(i0, s0, scale);
                if (TRows.Count > 1) i1 = AdvSimd.MultiplyAdd(i1, s1, scale);
                if (TRows.Count > 2) i2 = AdvSimd.MultiplyAdd(i2, s2, scale);
                if (TRows.Count > 3) i3 = AdvSimd.MultiplyAdd(i3, s3, scale);
                if (TRows.Count > 4) i4 = AdvSimd.MultiplyAdd(i4, s4, scale);
                if (TRows.Count > 5) i5 = AdvSimd.MultiplyAdd(i5, s5, scale);
                if (TRows.Count > 6) i6 = AdvSimd.MultiplyAdd(i6, s6, scale);
                if (TRows.Count > 7) i7 = AdvSimd.MultiplyAdd(i7, s7, scale);
            }

            float* xScales = (float*)(x + (TRows.Count * sums));
            Finish(panel, x, xScales, i0, outputs[0] + first);
            if (TRows.Count > 1) Finish(panel, x + sums, xScales + 1, i1, outputs[1] + first);
            if (TRows.Count > 2) Finish(panel, x + (2 * sums), xScales + 2, i2, outputs[2] + first);
            if (TRows.Count > 3) Finish(panel, x + (3 * sums), xScales + 3, i3, outputs[3] + first);
            if (TRows.Count > 4) Finish(panel, x + (4 * sums), xScales + 4, i4, outputs[4] + first);
            if (TRows.Count > 5) Finish(panel, x + (5 * sums), xScales + 5, i5, outputs[5] + first);
            if (TRows.Count > 6) Finish(panel, x + (6 * sums), xScales + 6, i6, outputs[6] + first);
            if (TRows.Count > 7) Finish(panel, x + (7 * sums), xScales + 7, i7, outputs[7] + first);
            x = (byte*)(xScales + TRows.Count);
            panel += panelBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarter(byte* r0, byte* r1, byte* r2, byte* r3, int quarter, byte* panel)
    {
        TCodes.Unpack(r0, quarter, out Vector128<sbyte> a0, out Vector128<sbyte> a1, out Vector128<sbyte> a2, out Vector128<sbyte> a3);
        TCodes.Unpack(r1, quarter, out Vector128<sbyte> b0, out Vector128<sbyte> b1, out Vector128<sbyte> b2, out Vector128<sbyte> b3);
        TCodes.Unpack(r2, quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
        TCodes.Unpack(r3, quarter, out Vector128<sbyte> d0, out Vector128<sbyte> d1, out Vector128<sbyte> d2, out Vector128<sbyte> d3);
        sbyte* codes = (sbyte*)panel + (16 * Vector * quarter);
        Store(a0, b0, c0, d0, codes);
        Store(a1, b1, c1, d1, codes + (4 * Vector));
        Store(a2, b2, c2, d2, codes + (8 * Vector));
        Store(a3, b3, c3, d3, codes + (12 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, sbyte* codes) =>
        NeonPanelCodes.Store<TCodes, TDot>(c0, c1, c2, c3, codes);

    /// <summary>From eight numbers of each of four rows to four of each of two sub-blocks, four times.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(
        Vector128<short> r0, Vector128<short> r1, Vector128<short> r2, Vector128<short> r3,
        out Vector128<short> p0, out Vector128<short> p1, out Vector128<short> p2, out Vector128<short> p3)
    {
        Vector128<int> low01 = AdvSimd.Arm64.ZipLow(r0, r1).AsInt32(), high01 = AdvSimd.Arm64.ZipHigh(r0, r1).AsInt32();
        Vector128<int> low23 = AdvSimd.Arm64.ZipLow(r2, r3).AsInt32(), high23 = AdvSimd.Arm64.ZipHigh(r2, r3).AsInt32();
        p0 = AdvSimd.Arm64.ZipLow(low01, low23).AsInt16();
        p1 = AdvSimd.Arm64.ZipHigh(low01, low23).AsInt16();
        p2 = AdvSimd.Arm64.ZipLow(high01, high23).AsInt16();
        p3 = AdvSimd.Arm64.ZipHigh(high01, high23).AsInt16();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreScales(Vector128<short> p0, Vector128<short> p1, Vector128<short> p2, Vector128<short> p3, int* scales)
    {
        AdvSimd.SignExtendWideningLower(p0.GetLower()).Store(scales);
        AdvSimd.SignExtendWideningUpper(p0).Store(scales + 4);
        AdvSimd.SignExtendWideningLower(p1.GetLower()).Store(scales + 8);
        AdvSimd.SignExtendWideningUpper(p1).Store(scales + 12);
        AdvSimd.SignExtendWideningLower(p2.GetLower()).Store(scales + 16);
        AdvSimd.SignExtendWideningUpper(p2).Store(scales + 20);
        AdvSimd.SignExtendWideningLower(p3.GetLower()).Store(scales + 24);
        AdvSimd.SignExtendWideningUpper(p3).Store(scales + 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreMins(Vector128<short> p0, Vector128<short> p1, Vector128<short> p2, Vector128<short> p3, short* mins)
    {
        p0.Store(mins);
        p1.Store(mins + 8);
        p2.Store(mins + 16);
        p3.Store(mins + 24);
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
        TDot.AddRows(sum, c0, c1, c2, c3, AdvSimd.LoadVector128((sbyte*)x), MaxCode);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(byte* panel, byte* sums, float* scale, Vector128<int> dot, float* y)
    {
        Vector64<float> factor = Vector64.CreateScalarUnsafe(*scale);
        Vector128<float> d = AdvSimd.MultiplyByScalar(AdvSimd.LoadVector128((float*)(panel + Factors)), factor);
        Vector128<float> sum = AdvSimd.FusedMultiplyAdd(AdvSimd.LoadVector128(y), AdvSimd.ConvertToSingle(dot), d);
        if (TCodes.HasMin)
        {
            Vector128<int> min = AddMins(default, (short*)(panel + Mins), (short*)sums);
            if (TCodes.SubBlock == 16)
            {
                min = AddMins(min, (short*)(panel + Mins + (4 * Vector)), (short*)sums + 8);
            }

            d = AdvSimd.MultiplyByScalar(AdvSimd.LoadVector128((float*)(panel + Factors + Vector)), factor);
            sum = AdvSimd.FusedMultiplySubtract(sum, AdvSimd.ConvertToSingle(min), d);
        }

        sum.Store(y);
    }

    /// <summary>Adds the minima of eight sub-blocks, each multiplied with a sum of activations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> AddMins(Vector128<int> sum, short* mins, short* sums)
    {
        Vector128<short> x = AdvSimd.LoadVector128(sums);
        Vector128<short> p0 = AdvSimd.LoadVector128(mins), p1 = AdvSimd.LoadVector128(mins + 8);
        Vector128<short> p2 = AdvSimd.LoadVector128(mins + 16), p3 = AdvSimd.LoadVector128(mins + 24);
        sum = AdvSimd.MultiplyBySelectedScalarWideningLowerAndAdd(sum, p0.GetLower(), x, 0);
        sum = AdvSimd.MultiplyBySelectedScalarWideningUpperAndAdd(sum, p0, x, 1);
        sum = AdvSimd.MultiplyBySelectedScalarWideningLowerAndAdd(sum, p1.GetLower(), x, 2);
        sum = AdvSimd.MultiplyBySelectedScalarWideningUpperAndAdd(sum, p1, x, 3);
        sum = AdvSimd.MultiplyBySelectedScalarWideningLowerAndAdd(sum, p2.GetLower(), x, 4);
        sum = AdvSimd.MultiplyBySelectedScalarWideningUpperAndAdd(sum, p2, x, 5);
        sum = AdvSimd.MultiplyBySelectedScalarWideningLowerAndAdd(sum, p3.GetLower(), x, 6);
        return AdvSimd.MultiplyBySelectedScalarWideningUpperAndAdd(sum, p3, x, 7);
    }
}
