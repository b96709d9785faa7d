using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// The product of up to six activation rows with two panels of eight weight rows in blocks of 32, in canonical order: as
/// <see cref="Avx256Tile{TLayout, TDot}"/>, with a float scale for every block.
/// </summary>
internal static unsafe class Avx256FlatTile<TLayout, TDot>
    where TLayout : struct, IFlatLayout
    where TDot : struct, IAvx256Dot
{
    private const int Vector = Avx256Columns.Bytes;

    /// <summary>Bytes of the factors of a unit of a panel: d and, if there are minima, m of each block.</summary>
    public static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.HasMin ? 16 * Vector : 8 * Vector;
    }

    /// <summary>What stored codes are above the weights' integers.</summary>
    public static int Offset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.Bits == 8 && TDot.TakesSignedCodes ? 0 : TLayout.Offset;
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

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(in TileTask task)
        where TRows : struct, ITileRows
    {
        int other = FactorBytes, row = 4 * TRows.Count;
        byte* codes = task.Codes, factors = task.Factors, x = task.Activations;
        nint next = task.PanelStride, first = task.FirstOutput;
        int blocks = task.Blocks, pieces = task.FetchPieces;
        WeightFetch fetch = task.Fetch;
        Sums memory;
        float* sums = (float*)&memory;
        for (int r = 0; r < TRows.Count; r++)
        {
            Copy(task.Outputs[r] + first, sums + (16 * r));
        }

        for (int block = 0; block < blocks; block++)
        {
            if (pieces-- > 0)
            {
                fetch.Fetch();
            }

            byte* scales = x + (8 * row), terms = scales + row;
            Vector256<byte> a, b, quad;
            Vector256<int> i0a = Start(terms), i0b = i0a;
            Vector256<int> i1a = TRows.Count > 1 ? Start(terms + 4) : default, i1b = i1a;
            Vector256<int> i2a = TRows.Count > 2 ? Start(terms + 8) : default, i2b = i2a;
            Vector256<int> i3a = TRows.Count > 3 ? Start(terms + 12) : default, i3b = i3a;
            Vector256<int> i4a = TRows.Count > 4 ? Start(terms + 16) : default, i4b = i4a;
            Vector256<int> i5a = TRows.Count > 5 ? Start(terms + 20) : default, i5b = i5a;
            for (int q = 0; q < 8; q += TDot.Steps(TLayout.Bits))
            {
                Vector256<int> s0a, s1a = default, s2a = default, s3a = default, s4a = default, s5a = default;
                Vector256<int> s0b, s1b = default, s2b = default, s3b = default, s4b = default, s5b = default;
                a = Vector256.Load(codes); b = Vector256.Load(codes + next);
                quad = Quad(x); s0a = TDot.Begin(i0a, a, quad.AsSByte()); s0b = TDot.Begin(i0b, b, quad.AsSByte());
                if (TRows.Count > 1) { quad = Quad(x + 4); s1a = TDot.Begin(i1a, a, quad.AsSByte()); s1b = TDot.Begin(i1b, b, quad.AsSByte()); }
                if (TRows.Count > 2) { quad = Quad(x + 8); s2a = TDot.Begin(i2a, a, quad.AsSByte()); s2b = TDot.Begin(i2b, b, quad.AsSByte()); }
                if (TRows.Count > 3) { quad = Quad(x + 12); s3a = TDot.Begin(i3a, a, quad.AsSByte()); s3b = TDot.Begin(i3b, b, quad.AsSByte()); }
                if (TRows.Count > 4) { quad = Quad(x + 16); s4a = TDot.Begin(i4a, a, quad.AsSByte()); s4b = TDot.Begin(i4b, b, quad.AsSByte()); }
                if (TRows.Count > 5) { quad = Quad(x + 20); s5a = TDot.Begin(i5a, a, quad.AsSByte()); s5b = TDot.Begin(i5b, b, quad.AsSByte()); }
                codes += Vector;
                x += row;
                for (int step = 1; step < TDot.Steps(TLayout.Bits); step++)
                {
                    a = Vector256.Load(codes); b = Vector256.Load(codes + next);
                    quad = Quad(x); s0a = TDot.Add(s0a, a, quad.AsSByte()); s0b = TDot.Add(s0b, b, quad.AsSByte());
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a = TDot.Add(s1a, a, quad.AsSByte()); s1b = TDot.Add(s1b, b, quad.AsSByte()); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a = TDot.Add(s2a, a, quad.AsSByte()); s2b = TDot.Add(s2b, b, quad.AsSByte()); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a = TDot.Add(s3a, a, quad.AsSByte()); s3b = TDot.Add(s3b, b, quad.AsSByte()); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a = TDot.Add(s4a, a, quad.AsSByte()); s4b = TDot.Add(s4b, b, quad.AsSByte()); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a = TDot.Add(s5a, a, quad.AsSByte()); s5b = TDot.Add(s5b, b, quad.AsSByte()); }
                    codes += Vector;
                    x += row;
                }

                i0a = TDot.End(i0a, s0a); i0b = TDot.End(i0b, s0b);
                if (TRows.Count > 1) { i1a = TDot.End(i1a, s1a); i1b = TDot.End(i1b, s1b); }
                if (TRows.Count > 2) { i2a = TDot.End(i2a, s2a); i2b = TDot.End(i2b, s2b); }
                if (TRows.Count > 3) { i3a = TDot.End(i3a, s3a); i3b = TDot.End(i3b, s3b); }
                if (TRows.Count > 4) { i4a = TDot.End(i4a, s4a); i4b = TDot.End(i4b, s4b); }
                if (TRows.Count > 5) { i5a = TDot.End(i5a, s5a); i5b = TDot.End(i5b, s5b); }
            }

            AddBoth(factors, scales, terms, i0a, i0b, sums);
            if (TRows.Count > 1) { AddBoth(factors, scales + 4, terms + 4, i1a, i1b, sums + 16); }
            if (TRows.Count > 2) { AddBoth(factors, scales + 8, terms + 8, i2a, i2b, sums + 32); }
            if (TRows.Count > 3) { AddBoth(factors, scales + 12, terms + 12, i3a, i3b, sums + 48); }
            if (TRows.Count > 4) { AddBoth(factors, scales + 16, terms + 16, i4a, i4b, sums + 64); }
            if (TRows.Count > 5) { AddBoth(factors, scales + 20, terms + 20, i5a, i5b, sums + 80); }
            x = terms + row;
            factors += TLayout.HasMin ? 2 * Vector : Vector;
            if (block % 8 == 7)
            {
                factors += other;
            }
        }

        for (int r = 0; r < TRows.Count; r++)
        {
            Copy(sums + (16 * r), task.Outputs[r] + first);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(float* source, float* destination)
    {
        Vector256.Load(source).Store(destination);
        Vector256.Load(source + 8).Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Quad(byte* x) => Vector256.Create(*(int*)x).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Spread(byte* number) => Vector256.Create(*(float*)number);

    /// <summary>What the offset of the codes adds to every dot product, negated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Start(byte* term) => Offset == 0 ? default : Vector256.Create(*(int*)term);

    /// <summary>Adds a block of both panels to an activation row's sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddBoth(byte* factors, byte* scale, byte* term, Vector256<int> a, Vector256<int> b, float* sums)
    {
        Vector256<float> scales = Spread(scale), terms = Spread(term);
        Add(factors, scales, terms, a, sums);
        Add(factors + FactorBytes, scales, terms, b, sums + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(byte* factors, Vector256<float> scale, Vector256<float> term, Vector256<int> dot, float* sum)
    {
        Vector256<float> d = Vector256.Load((float*)factors) * scale;
        Vector256<float> y = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(dot), d, Vector256.Load(sum));
        if (TLayout.HasMin)
        {
            y = Vector256.FusedMultiplyAdd(Vector256.Load((float*)(factors + Vector)), term, y);
        }

        y.Store(sum);
    }

    private struct Sums
    {
        public fixed float Lanes[6 * 2 * 8];
    }
}
