using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// The product of up to six activation rows with two panels of sixteen rows of 8-bit weights, in canonical order. The dot product
/// instruction has 256 bits, eight rows, in what .NET offers; floats are taken sixteen at a time.
/// </summary>
internal static unsafe class Avx512VnniTile
{
    private const int Vector = Avx512Columns.Bytes;

    /// <summary>Bytes of the factors of a unit of a panel: d of each block.</summary>
    public const int FactorBytes = 8 * Vector;

    /// <summary>Multiplies one to six activation rows with two panels.</summary>
    /// <param name="task">The tile.</param>
    /// <param name="blockBytes">Bytes from block to block of codes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(in TileTask task, nint blockBytes)
    {
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task, blockBytes); break;
            case 2: Multiply<Rows2>(task, blockBytes); break;
            case 3: Multiply<Rows3>(task, blockBytes); break;
            case 4: Multiply<Rows4>(task, blockBytes); break;
            case 5: Multiply<Rows5>(task, blockBytes); break;
            default: Multiply<Rows6>(task, blockBytes); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply<TRows>(in TileTask task, nint blockBytes)
        where TRows : struct, ITileRows
    {
        MultiplyPanel<TRows>(task, 0, blockBytes);
        MultiplyPanel<TRows>(task, 1, blockBytes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyPanel<TRows>(in TileTask task, int panel, nint blockBytes)
        where TRows : struct, ITileRows
    {
        int row = 4 * TRows.Count;
        byte* codes = task.Codes + (panel * task.PanelStride), factors = task.Factors + (panel * FactorBytes), x = task.Activations;
        float** outputs = task.Outputs;
        nint first = task.FirstOutput + (16 * panel);
        int blocks = task.Blocks;

        // The panels come one after the other; each fetches half of what there is to fetch.
        int pieces = panel == 0 ? task.FetchPieces / 2 : task.FetchPieces - (task.FetchPieces / 2);
        WeightFetch fetch = task.Fetch;
        fetch.Next += panel * (task.FetchPieces / 2) * fetch.Stride;
        Vector512<float> f0, f1 = default, f2 = default, f3 = default, f4 = default, f5 = default;
        f0 = Vector512.Load(outputs[0] + first);
        if (TRows.Count > 1) { f1 = Vector512.Load(outputs[1] + first); }
        if (TRows.Count > 2) { f2 = Vector512.Load(outputs[2] + first); }
        if (TRows.Count > 3) { f3 = Vector512.Load(outputs[3] + first); }
        if (TRows.Count > 4) { f4 = Vector512.Load(outputs[4] + first); }
        if (TRows.Count > 5) { f5 = Vector512.Load(outputs[5] + first); }
        for (int block = 0; block < blocks; block++, codes += blockBytes)
        {
            if (pieces-- > 0)
            {
                fetch.Fetch();
            }

            Vector256<byte> a, b;
            Vector256<sbyte> quad;
            Vector256<int> i0a, i1a = default, i2a = default, i3a = default, i4a = default, i5a = default;
            Vector256<int> i0b, i1b = default, i2b = default, i3b = default, i4b = default, i5b = default;
            byte* term = x + (9 * row);
            i0a = i0b = Vector256.Create(*(int*)term);
            if (TRows.Count > 1) { i1a = i1b = Vector256.Create(*(int*)(term + 4)); }
            if (TRows.Count > 2) { i2a = i2b = Vector256.Create(*(int*)(term + 8)); }
            if (TRows.Count > 3) { i3a = i3b = Vector256.Create(*(int*)(term + 12)); }
            if (TRows.Count > 4) { i4a = i4b = Vector256.Create(*(int*)(term + 16)); }
            if (TRows.Count > 5) { i5a = i5b = Vector256.Create(*(int*)(term + 20)); }
            for (byte* column = codes; column < codes + (8 * Vector); column += Vector)
            {
                a = Vector256.Load(column);
                b = Vector256.Load(column + (Vector / 2));
                quad = Quad(x); i0a = Dot(i0a, a, quad); i0b = Dot(i0b, b, quad);
                if (TRows.Count > 1) { quad = Quad(x + 4); i1a = Dot(i1a, a, quad); i1b = Dot(i1b, b, quad); }
                if (TRows.Count > 2) { quad = Quad(x + 8); i2a = Dot(i2a, a, quad); i2b = Dot(i2b, b, quad); }
                if (TRows.Count > 3) { quad = Quad(x + 12); i3a = Dot(i3a, a, quad); i3b = Dot(i3b, b, quad); }
                if (TRows.Count > 4) { quad = Quad(x + 16); i4a = Dot(i4a, a, quad); i4b = Dot(i4b, b, quad); }
                if (TRows.Count > 5) { quad = Quad(x + 20); i5a = Dot(i5a, a, quad); i5b = Dot(i5b, b, quad); }
                x += row;
            }

            Vector512<float> d = Vector512.Load((float*)factors);
            f0 = Finish(d, x, i0a, i0b, f0);
            if (TRows.Count > 1) { f1 = Finish(d, x + 4, i1a, i1b, f1); }
            if (TRows.Count > 2) { f2 = Finish(d, x + 8, i2a, i2b, f2); }
            if (TRows.Count > 3) { f3 = Finish(d, x + 12, i3a, i3b, f3); }
            if (TRows.Count > 4) { f4 = Finish(d, x + 16, i4a, i4b, f4); }
            if (TRows.Count > 5) { f5 = Finish(d, x + 20, i5a, i5b, f5); }
            x += 2 * row;
            factors += block % 8 == 7 ? Vector + FactorBytes : Vector;
        }

        f0.Store(outputs[0] + first);
        if (TRows.Count > 1) { f1.Store(outputs[1] + first); }
        if (TRows.Count > 2) { f2.Store(outputs[2] + first); }
        if (TRows.Count > 3) { f3.Store(outputs[3] + first); }
        if (TRows.Count > 4) { f4.Store(outputs[4] + first); }
        if (TRows.Count > 5) { f5.Store(outputs[5] + first); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<sbyte> Quad(byte* x) => Vector256.Create(*(int*)x).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> codes, Vector256<sbyte> x) =>
        AvxVnni.MultiplyWideningAndAdd(sum, codes, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Finish(Vector512<float> d, byte* x, Vector256<int> a, Vector256<int> b, Vector512<float> sum)
    {
        Vector512<float> dot = Vector512.ConvertToSingle(Avx512F.InsertVector256(a.ToVector512Unsafe(), b, 1));
        return Avx512F.FusedMultiplyAdd(dot, d * Vector512.Create(*(float*)x), sum);
    }
}
