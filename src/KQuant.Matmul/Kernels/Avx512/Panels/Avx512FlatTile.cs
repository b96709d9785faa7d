using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// The product of up to six activation rows with two panels of sixteen weight rows in blocks of 32, in canonical order: as
/// <see cref="Avx512Tile{TShape, TCodes}"/>, with a float scale for every block.
/// </summary>
internal static unsafe class Avx512FlatTile<TShape, TCodes>
    where TShape : struct, IFlatPanelShape
    where TCodes : struct, IFlatTileCodes
{
    private const int Vector = Avx512Columns.Bytes;

    /// <summary>Bytes of the factors of a unit of a panel: d and, if there are minima, m of each block.</summary>
    public static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TShape.HasMin ? 16 * Vector : 8 * Vector;
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
        nint next = task.PanelStride, first = task.FirstOutput;
        int blocks = task.Blocks, pieces = task.FetchPieces;
        WeightFetch fetch = task.Fetch;
        Vector512<short> ones = Vector512.Create((short)1);
        Vector512<float> f0a, f1a = default, f2a = default, f3a = default, f4a = default, f5a = default;
        Vector512<float> f0b, f1b = default, f2b = default, f3b = default, f4b = default, f5b = default;
        f0a = Vector512.Load(outputs[0] + first); f0b = Vector512.Load(outputs[0] + first + 16);
        if (TRows.Count > 1) { f1a = Vector512.Load(outputs[1] + first); f1b = Vector512.Load(outputs[1] + first + 16); }
        if (TRows.Count > 2) { f2a = Vector512.Load(outputs[2] + first); f2b = Vector512.Load(outputs[2] + first + 16); }
        if (TRows.Count > 3) { f3a = Vector512.Load(outputs[3] + first); f3b = Vector512.Load(outputs[3] + first + 16); }
        if (TRows.Count > 4) { f4a = Vector512.Load(outputs[4] + first); f4b = Vector512.Load(outputs[4] + first + 16); }
        if (TRows.Count > 5) { f5a = Vector512.Load(outputs[5] + first); f5b = Vector512.Load(outputs[5] + first + 16); }
        for (int block = 0; block < blocks; block++, codes += TCodes.BlockBytes)
        {
            if (pieces-- > 0)
            {
                fetch.Fetch();
            }

            Vector512<byte> a, b, quad;
            Vector512<int> i0a = default, i1a = default, i2a = default, i3a = default, i4a = default, i5a = default;
            Vector512<int> i0b = default, i1b = default, i2b = default, i3b = default, i4b = default, i5b = default;
            Vector512<short> s0a, s1a = default, s2a = default, s3a = default, s4a = default, s5a = default;
            Vector512<short> s0b, s1b = default, s2b = default, s3b = default, s4b = default, s5b = default;
            for (int q = 0; q < 8;)
            {
                a = TCodes.Load(codes, q);
                b = TCodes.Load(codes + next, q);
                quad = Quad(x); s0a = Dot(a, quad); s0b = Dot(b, quad);
                if (TRows.Count > 1) { quad = Quad(x + 4); s1a = Dot(a, quad); s1b = Dot(b, quad); }
                if (TRows.Count > 2) { quad = Quad(x + 8); s2a = Dot(a, quad); s2b = Dot(b, quad); }
                if (TRows.Count > 3) { quad = Quad(x + 12); s3a = Dot(a, quad); s3b = Dot(b, quad); }
                if (TRows.Count > 4) { quad = Quad(x + 16); s4a = Dot(a, quad); s4b = Dot(b, quad); }
                if (TRows.Count > 5) { quad = Quad(x + 20); s5a = Dot(a, quad); s5b = Dot(b, quad); }
                x += row;
                q++;
                for (int end = q + TShape.Steps - 1; q < end; q++)
                {
                    a = TCodes.Load(codes, q);
                    b = TCodes.Load(codes + next, q);
                    quad = Quad(x); s0a += Dot(a, quad); s0b += Dot(b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a += Dot(a, quad); s1b += Dot(b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a += Dot(a, quad); s2b += Dot(b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a += Dot(a, quad); s3b += Dot(b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a += Dot(a, quad); s4b += Dot(b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a += Dot(a, quad); s5b += Dot(b, quad); }
                    x += row;
                }

                i0a = Add(i0a, Dot(s0a, ones)); i0b = Add(i0b, Dot(s0b, ones));
                if (TRows.Count > 1) { i1a = Add(i1a, Dot(s1a, ones)); i1b = Add(i1b, Dot(s1b, ones)); }
                if (TRows.Count > 2) { i2a = Add(i2a, Dot(s2a, ones)); i2b = Add(i2b, Dot(s2b, ones)); }
                if (TRows.Count > 3) { i3a = Add(i3a, Dot(s3a, ones)); i3b = Add(i3b, Dot(s3b, ones)); }
                if (TRows.Count > 4) { i4a = Add(i4a, Dot(s4a, ones)); i4b = Add(i4b, Dot(s4b, ones)); }
                if (TRows.Count > 5) { i5a = Add(i5a, Dot(s5a, ones)); i5b = Add(i5b, Dot(s5b, ones)); }
            }

            byte* terms = x + row;
            Vector512<float> scale, scaleA = Vector512.Load((float*)factors), scaleB = Vector512.Load((float*)(factors + other));
            factors += Vector;
            if (!TShape.HasMin)
            {
                Vector512<int> start;
                start = Vector512.Create(*(int*)terms); i0a += start; i0b += start;
                if (TRows.Count > 1) { start = Vector512.Create(*(int*)(terms + 4)); i1a += start; i1b += start; }
                if (TRows.Count > 2) { start = Vector512.Create(*(int*)(terms + 8)); i2a += start; i2b += start; }
                if (TRows.Count > 3) { start = Vector512.Create(*(int*)(terms + 12)); i3a += start; i3b += start; }
                if (TRows.Count > 4) { start = Vector512.Create(*(int*)(terms + 16)); i4a += start; i4b += start; }
                if (TRows.Count > 5) { start = Vector512.Create(*(int*)(terms + 20)); i5a += start; i5b += start; }
            }

            scale = Vector512.Create(*(float*)x); f0a = Add(f0a, i0a, scaleA * scale); f0b = Add(f0b, i0b, scaleB * scale);
            if (TRows.Count > 1) { scale = Vector512.Create(*(float*)(x + 4)); f1a = Add(f1a, i1a, scaleA * scale); f1b = Add(f1b, i1b, scaleB * scale); }
            if (TRows.Count > 2) { scale = Vector512.Create(*(float*)(x + 8)); f2a = Add(f2a, i2a, scaleA * scale); f2b = Add(f2b, i2b, scaleB * scale); }
            if (TRows.Count > 3) { scale = Vector512.Create(*(float*)(x + 12)); f3a = Add(f3a, i3a, scaleA * scale); f3b = Add(f3b, i3b, scaleB * scale); }
            if (TRows.Count > 4) { scale = Vector512.Create(*(float*)(x + 16)); f4a = Add(f4a, i4a, scaleA * scale); f4b = Add(f4b, i4b, scaleB * scale); }
            if (TRows.Count > 5) { scale = Vector512.Create(*(float*)(x + 20)); f5a = Add(f5a, i5a, scaleA * scale); f5b = Add(f5b, i5b, scaleB * scale); }
            if (TShape.HasMin)
            {
                Vector512<float> minA = Vector512.Load((float*)factors), minB = Vector512.Load((float*)(factors + other));
                factors += Vector;
                scale = Vector512.Create(*(float*)terms); f0a = Add(f0a, minA, scale); f0b = Add(f0b, minB, scale);
                if (TRows.Count > 1) { scale = Vector512.Create(*(float*)(terms + 4)); f1a = Add(f1a, minA, scale); f1b = Add(f1b, minB, scale); }
                if (TRows.Count > 2) { scale = Vector512.Create(*(float*)(terms + 8)); f2a = Add(f2a, minA, scale); f2b = Add(f2b, minB, scale); }
                if (TRows.Count > 3) { scale = Vector512.Create(*(float*)(terms + 12)); f3a = Add(f3a, minA, scale); f3b = Add(f3b, minB, scale); }
                if (TRows.Count > 4) { scale = Vector512.Create(*(float*)(terms + 16)); f4a = Add(f4a, minA, scale); f4b = Add(f4b, minB, scale); }
                if (TRows.Count > 5) { scale = Vector512.Create(*(float*)(terms + 20)); f5a = Add(f5a, minA, scale); f5b = Add(f5b, minB, scale); }
            }

            x += 2 * row;
            if (block % 8 == 7)
            {
                factors += other;
            }
        }

        f0a.Store(outputs[0] + first); f0b.Store(outputs[0] + first + 16);
        if (TRows.Count > 1) { f1a.Store(outputs[1] + first); f1b.Store(outputs[1] + first + 16); }
        if (TRows.Count > 2) { f2a.Store(outputs[2] + first); f2b.Store(outputs[2] + first + 16); }
        if (TRows.Count > 3) { f3a.Store(outputs[3] + first); f3b.Store(outputs[3] + first + 16); }
        if (TRows.Count > 4) { f4a.Store(outputs[4] + first); f4b.Store(outputs[4] + first + 16); }
        if (TRows.Count > 5) { f5a.Store(outputs[5] + first); f5b.Store(outputs[5] + first + 16); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Quad(byte* x) => Vector512.Create(*(int*)x).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Dot(Vector512<byte> codes, Vector512<byte> x) => Avx512BW.MultiplyAddAdjacent(codes, x.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Dot(Vector512<short> x, Vector512<short> y) => Avx512BW.MultiplyAddAdjacent(x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Add(Vector512<int> sum, Vector512<int> dot) => TShape.Steps == 8 ? dot : sum + dot;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> sum, Vector512<int> dot, Vector512<float> scale) =>
        Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), scale, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> sum, Vector512<float> min, Vector512<float> scale) =>
        Vector512.FusedMultiplyAdd(min, scale, sum);
}
