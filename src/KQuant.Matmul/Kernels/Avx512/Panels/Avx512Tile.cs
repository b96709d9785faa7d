using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// The product of up to six activation rows with two panels of sixteen K-quant weight rows, in canonical order. One lane is one output.
/// Products of codes are added up exactly in 16 bits, the sub-block's scale is the second factor of the widening multiply-add, and there
/// is one fused multiply-add per unit and term. Two panels share every broadcast activation.
/// </summary>
internal static unsafe class Avx512Tile<TShape, TCodes>
    where TShape : struct, IPanelShape
    where TCodes : struct, ITileCodes
{
    private const int Vector = Avx512Columns.Bytes;

    /// <summary>Bytes of the factors of a unit of a panel: scales, pairs of minima, d, dmin and what the 32-bit sums start from.</summary>
    public static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (TShape.Scales + TShape.MinPairs + 3) * Vector;
    }

    /// <summary>Multiplies one to six activation rows with two panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(in TileTask task)
    {
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task); break;
            case 2: Multiply<Rows2>(task); break;
            case 3: Multiply<Rows3>(task); break;
            case 4: Multiply<Rows4>(task); break;
            case 5: Multiply<Rows5>(task); break;
            default: Multiply<Rows6>(task); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(in TileTask task)
        where TRows : struct, ITileRows
    {
        int other = FactorBytes, row = 4 * TRows.Count;
        byte* codes = task.Codes, factors = task.Factors, x = task.Activations;
        float** outputs = task.Outputs;
        WeightFetch fetch = task.Fetch;
        int pieces = task.FetchPieces;
        nint next = task.PanelStride, unit = task.UnitStride, first = task.FirstOutput;
        for (int u = task.Units; u > 0; u--, codes += unit)
        {
            Vector512<int> i0a = default, i1a = default, i2a = default, i3a = default, i4a = default, i5a = default;
            Vector512<int> i0b = default, i1b = default, i2b = default, i3b = default, i4b = default, i5b = default;
            if (TShape.IsBiased)
            {
                i0a = i1a = i2a = i3a = i4a = i5a = Vector512.Load((int*)(factors + other - Vector));
                i0b = i1b = i2b = i3b = i4b = i5b = Vector512.Load((int*)(factors + other + other - Vector));
            }

            Vector512<byte> a, b, quad;
            Vector512<short> s0a, s1a = default, s2a = default, s3a = default, s4a = default, s5a = default;
            Vector512<short> s0b, s1b = default, s2b = default, s3b = default, s4b = default, s5b = default;
            for (int subBlock = 0; subBlock < TShape.Scales; subBlock++, factors += Vector)
            {
                byte* low = codes + TCodes.Low(subBlock), high = codes + TCodes.High(subBlock);
                Vector512<ushort> shift = Vector512.Create((ushort)TCodes.LowShift(subBlock));
                Vector512<uint> turn = Vector512.Create((uint)TCodes.HighTurn(subBlock));
                if (pieces-- > 0)
                {
                    fetch.Fetch();
                }

                for (int chain = 0; chain < TShape.ChainsPerScale; chain++)
                {
                    a = TCodes.Load(low, shift, high, turn);
                    b = TCodes.Load(low + next, shift, high + next, turn);
                    quad = Quad(x); s0a = Dot(a, quad); s0b = Dot(b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a = Dot(a, quad); s1b = Dot(b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a = Dot(a, quad); s2b = Dot(b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a = Dot(a, quad); s3b = Dot(b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a = Dot(a, quad); s4b = Dot(b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a = Dot(a, quad); s5b = Dot(b, quad); }
                    low += Vector;
                    high += Vector;
                    x += row;
                    for (int step = 1; step < TShape.Steps; step++)
                    {
                        a = TCodes.Load(low, shift, high, turn);
                        b = TCodes.Load(low + next, shift, high + next, turn);
                        quad = Quad(x); s0a += Dot(a, quad); s0b += Dot(b, quad);
                        if (TRows.Count > 1) { quad = Quad(x + 4); s1a += Dot(a, quad); s1b += Dot(b, quad); }
                        if (TRows.Count > 2) { quad = Quad(x + 8); s2a += Dot(a, quad); s2b += Dot(b, quad); }
                        if (TRows.Count > 3) { quad = Quad(x + 12); s3a += Dot(a, quad); s3b += Dot(b, quad); }
                        if (TRows.Count > 4) { quad = Quad(x + 16); s4a += Dot(a, quad); s4b += Dot(b, quad); }
                        if (TRows.Count > 5) { quad = Quad(x + 20); s5a += Dot(a, quad); s5b += Dot(b, quad); }
                        low += Vector;
                        high += Vector;
                        x += row;
                    }

                    Vector512<short> scaleA = Vector512.Load((short*)factors), scaleB = Vector512.Load((short*)(factors + other));
                    i0a += Dot(s0a, scaleA); i0b += Dot(s0b, scaleB);
                    if (TRows.Count > 1) { i1a += Dot(s1a, scaleA); i1b += Dot(s1b, scaleB); }
                    if (TRows.Count > 2) { i2a += Dot(s2a, scaleA); i2b += Dot(s2b, scaleB); }
                    if (TRows.Count > 3) { i3a += Dot(s3a, scaleA); i3b += Dot(s3b, scaleB); }
                    if (TRows.Count > 4) { i4a += Dot(s4a, scaleA); i4b += Dot(s4b, scaleB); }
                    if (TRows.Count > 5) { i5a += Dot(s5a, scaleA); i5b += Dot(s5b, scaleB); }
                }
            }

            Vector512<int> m0a = default, m1a = default, m2a = default, m3a = default, m4a = default, m5a = default;
            Vector512<int> m0b = default, m1b = default, m2b = default, m3b = default, m4b = default, m5b = default;
            for (int pair = 0; pair < TShape.MinPairs; pair++, factors += Vector)
            {
                Vector512<short> minA = Vector512.Load((short*)factors), minB = Vector512.Load((short*)(factors + other));
                quad = Quad(x); m0a += Dot(minA, quad.AsInt16()); m0b += Dot(minB, quad.AsInt16());
                if (TRows.Count > 1) { quad = Quad(x + 4); m1a += Dot(minA, quad.AsInt16()); m1b += Dot(minB, quad.AsInt16()); }
                if (TRows.Count > 2) { quad = Quad(x + 8); m2a += Dot(minA, quad.AsInt16()); m2b += Dot(minB, quad.AsInt16()); }
                if (TRows.Count > 3) { quad = Quad(x + 12); m3a += Dot(minA, quad.AsInt16()); m3b += Dot(minB, quad.AsInt16()); }
                if (TRows.Count > 4) { quad = Quad(x + 16); m4a += Dot(minA, quad.AsInt16()); m4b += Dot(minB, quad.AsInt16()); }
                if (TRows.Count > 5) { quad = Quad(x + 20); m5a += Dot(minA, quad.AsInt16()); m5b += Dot(minB, quad.AsInt16()); }
                x += row;
            }

            Finish(factors, x, i0a, m0a, outputs[0] + first); Finish(factors + other, x, i0b, m0b, outputs[0] + first + 16);
            if (TRows.Count > 1) { Finish(factors, x + 4, i1a, m1a, outputs[1] + first); Finish(factors + other, x + 4, i1b, m1b, outputs[1] + first + 16); }
            if (TRows.Count > 2) { Finish(factors, x + 8, i2a, m2a, outputs[2] + first); Finish(factors + other, x + 8, i2b, m2b, outputs[2] + first + 16); }
            if (TRows.Count > 3) { Finish(factors, x + 12, i3a, m3a, outputs[3] + first); Finish(factors + other, x + 12, i3b, m3b, outputs[3] + first + 16); }
            if (TRows.Count > 4) { Finish(factors, x + 16, i4a, m4a, outputs[4] + first); Finish(factors + other, x + 16, i4b, m4b, outputs[4] + first + 16); }
            if (TRows.Count > 5) { Finish(factors, x + 20, i5a, m5a, outputs[5] + first); Finish(factors + other, x + 20, i5b, m5b, outputs[5] + first + 16); }
            x += row;
            factors += (3 * Vector) + other;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Quad(byte* x) => Vector512.Create(*(int*)x).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Dot(Vector512<byte> codes, Vector512<byte> x) => TShape.IsBiased
        ? Avx512BW.MultiplyAddAdjacent(x, codes.AsSByte())
        : Avx512BW.MultiplyAddAdjacent(codes, x.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Dot(Vector512<short> x, Vector512<short> y) => Avx512BW.MultiplyAddAdjacent(x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(byte* factors, byte* x, Vector512<int> dot, Vector512<int> min, float* sum)
    {
        Vector512<float> scale = Vector512.Create(*(float*)x);
        Vector512<float> d = Vector512.Load((float*)factors) * scale;
        Vector512<float> y = Vector512.Load(sum);
        if (TShape.MinPairs > 0 && TShape.MinsAreOffsets)
        {
            dot -= min;
        }

        y = Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), d, y);
        if (TShape.MinPairs > 0 && !TShape.MinsAreOffsets)
        {
            Vector512<float> dmin = Vector512.Load((float*)(factors + Vector)) * scale;
            y = Avx512F.FusedMultiplyAddNegated(Vector512.ConvertToSingle(min), dmin, y);
        }

        y.Store(sum);
    }
}
