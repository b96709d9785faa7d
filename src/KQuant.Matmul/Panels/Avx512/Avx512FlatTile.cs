using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>
/// The product of up to six activation rows with two panels of sixteen weight rows in blocks of 32, in canonical order: as
/// <see cref="Avx512Tile{TShape}"/>, with a float scale for every block.
/// </summary>
internal static unsafe class Avx512FlatTile<TShape>
    where TShape : struct, IFlatPanelShape
{
    private const int Vector = 64;

    /// <summary>Bytes of a block of a panel: codes, d and, if there are minima, m.</summary>
    public static int BlockBytes => TShape.HasMin ? 10 * Vector : 9 * Vector;

    /// <summary>Multiplies.</summary>
    /// <param name="panels">Units of two panels each.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="units">How many units.</param>
    /// <param name="sums">Two vectors per activation row that the products are added to.</param>
    /// <param name="rows">Activation rows, 1 to 6.</param>
    public static void Multiply(byte* panels, byte* x, int units, float* sums, int rows)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(panels, x, units, sums); break;
            case 2: Multiply<Rows2>(panels, x, units, sums); break;
            case 3: Multiply<Rows3>(panels, x, units, sums); break;
            case 4: Multiply<Rows4>(panels, x, units, sums); break;
            case 5: Multiply<Rows5>(panels, x, units, sums); break;
            default: Multiply<Rows6>(panels, x, units, sums); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* panel, byte* x, int units, float* sums)
        where TRows : struct, ITileRows
    {
        int next = 8 * BlockBytes, row = 4 * TRows.Count;
        Vector512<short> ones = Vector512.Create((short)1);
        for (int u = 0; u < units; u++, panel += next)
        {
            for (int block = 0; block < 8; block++)
            {
                Vector512<byte> a, b, quad;
                Vector512<int> i0a = default, i1a = default, i2a = default, i3a = default, i4a = default, i5a = default;
                Vector512<int> i0b = default, i1b = default, i2b = default, i3b = default, i4b = default, i5b = default;
                Vector512<short> s0a, s1a = default, s2a = default, s3a = default, s4a = default, s5a = default;
                Vector512<short> s0b, s1b = default, s2b = default, s3b = default, s4b = default, s5b = default;
                for (int chain = 0; chain < 8 / TShape.Steps; chain++)
                {
                    a = Vector512.Load(panel);
                    b = Vector512.Load(panel + next);
                    quad = Quad(x); s0a = Dot(a, quad); s0b = Dot(b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a = Dot(a, quad); s1b = Dot(b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a = Dot(a, quad); s2b = Dot(b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a = Dot(a, quad); s3b = Dot(b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a = Dot(a, quad); s4b = Dot(b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a = Dot(a, quad); s5b = Dot(b, quad); }
                    panel += Vector;
                    x += row;
                    for (int step = 1; step < TShape.Steps; step++)
                    {
                        a = Vector512.Load(panel);
                        b = Vector512.Load(panel + next);
                        quad = Quad(x); s0a += Dot(a, quad); s0b += Dot(b, quad);
                        if (TRows.Count > 1) { quad = Quad(x + 4); s1a += Dot(a, quad); s1b += Dot(b, quad); }
                        if (TRows.Count > 2) { quad = Quad(x + 8); s2a += Dot(a, quad); s2b += Dot(b, quad); }
                        if (TRows.Count > 3) { quad = Quad(x + 12); s3a += Dot(a, quad); s3b += Dot(b, quad); }
                        if (TRows.Count > 4) { quad = Quad(x + 16); s4a += Dot(a, quad); s4b += Dot(b, quad); }
                        if (TRows.Count > 5) { quad = Quad(x + 20); s5a += Dot(a, quad); s5b += Dot(b, quad); }
                        panel += Vector;
                        x += row;
                    }

                    i0a += Dot(s0a, ones); i0b += Dot(s0b, ones);
                    if (TRows.Count > 1) { i1a += Dot(s1a, ones); i1b += Dot(s1b, ones); }
                    if (TRows.Count > 2) { i2a += Dot(s2a, ones); i2b += Dot(s2b, ones); }
                    if (TRows.Count > 3) { i3a += Dot(s3a, ones); i3b += Dot(s3b, ones); }
                    if (TRows.Count > 4) { i4a += Dot(s4a, ones); i4b += Dot(s4b, ones); }
                    if (TRows.Count > 5) { i5a += Dot(s5a, ones); i5b += Dot(s5b, ones); }
                }

                Finish<TRows>(panel, x, i0a, sums); Finish<TRows>(panel + next, x, i0b, sums + 16);
                if (TRows.Count > 1) { Finish<TRows>(panel, x + 4, i1a, sums + 32); Finish<TRows>(panel + next, x + 4, i1b, sums + 48); }
                if (TRows.Count > 2) { Finish<TRows>(panel, x + 8, i2a, sums + 64); Finish<TRows>(panel + next, x + 8, i2b, sums + 80); }
                if (TRows.Count > 3) { Finish<TRows>(panel, x + 12, i3a, sums + 96); Finish<TRows>(panel + next, x + 12, i3b, sums + 112); }
                if (TRows.Count > 4) { Finish<TRows>(panel, x + 16, i4a, sums + 128); Finish<TRows>(panel + next, x + 16, i4b, sums + 144); }
                if (TRows.Count > 5) { Finish<TRows>(panel, x + 20, i5a, sums + 160); Finish<TRows>(panel + next, x + 20, i5b, sums + 176); }
                panel += BlockBytes - (8 * Vector);
                x += 2 * row;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Quad(byte* x) => Vector512.Create(*(int*)x).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Dot(Vector512<byte> codes, Vector512<byte> x) => Avx512BW.MultiplyAddAdjacent(codes, x.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Dot(Vector512<short> x, Vector512<short> y) => Avx512BW.MultiplyAddAdjacent(x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TRows>(byte* factors, byte* x, Vector512<int> dot, float* sum)
        where TRows : struct, ITileRows
    {
        byte* term = x + (4 * TRows.Count);
        if (!TShape.HasMin)
        {
            dot += Vector512.Create(*(int*)term);
        }

        Vector512<float> d = Vector512.Load((float*)factors) * Vector512.Create(*(float*)x);
        Vector512<float> y = Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), d, Vector512.Load(sum));
        if (TShape.HasMin)
        {
            y = Avx512F.FusedMultiplyAdd(Vector512.Load((float*)(factors + Vector)), Vector512.Create(*(float*)term), y);
        }

        y.Store(sum);
    }
}
