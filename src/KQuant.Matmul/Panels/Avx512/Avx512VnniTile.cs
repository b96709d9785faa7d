using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>
/// The product of up to six activation rows with two panels of sixteen rows of 8-bit weights, in canonical order. The dot product
/// instruction has 256 bits, eight rows, in what .NET offers; floats are taken sixteen at a time.
/// </summary>
internal static unsafe class Avx512VnniTile
{
    private const int Vector = 64;

    /// <summary>Bytes of a block of a panel: codes and d.</summary>
    public const int BlockBytes = 9 * Vector;

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

    private static void Multiply<TRows>(byte* panels, byte* x, int units, float* sums)
        where TRows : struct, ITileRows
    {
        MultiplyPanel<TRows>(panels, x, units, sums);
        MultiplyPanel<TRows>(panels + (8 * BlockBytes), x, units, sums + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyPanel<TRows>(byte* panel, byte* x, int units, float* sums)
        where TRows : struct, ITileRows
    {
        int row = 4 * TRows.Count;
        for (int u = 0; u < units; u++, panel += 8 * BlockBytes)
        {
            for (int block = 0; block < 8; block++, panel += Vector)
            {
                Vector256<byte> a, b;
                Vector256<sbyte> quad;
                Vector256<int> i0a, i1a = default, i2a = default, i3a = default, i4a = default, i5a = default;
                Vector256<int> i0b, i1b = default, i2b = default, i3b = default, i4b = default, i5b = default;
                byte* term = x + (9 * row);
                i0a = i0b = Vector256.Create(*(int*)(term));
                if (TRows.Count > 1) { i1a = i1b = Vector256.Create(*(int*)(term + 4)); }
                if (TRows.Count > 2) { i2a = i2b = Vector256.Create(*(int*)(term + 8)); }
                if (TRows.Count > 3) { i3a = i3b = Vector256.Create(*(int*)(term + 12)); }
                if (TRows.Count > 4) { i4a = i4b = Vector256.Create(*(int*)(term + 16)); }
                if (TRows.Count > 5) { i5a = i5b = Vector256.Create(*(int*)(term + 20)); }
                for (int step = 0; step < 8; step++)
                {
                    a = Vector256.Load(panel);
                    b = Vector256.Load(panel + (Vector / 2));
                    quad = Quad(x); i0a = Dot(i0a, a, quad); i0b = Dot(i0b, b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); i1a = Dot(i1a, a, quad); i1b = Dot(i1b, b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); i2a = Dot(i2a, a, quad); i2b = Dot(i2b, b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); i3a = Dot(i3a, a, quad); i3b = Dot(i3b, b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); i4a = Dot(i4a, a, quad); i4b = Dot(i4b, b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); i5a = Dot(i5a, a, quad); i5b = Dot(i5b, b, quad); }
                    panel += Vector;
                    x += row;
                }

                Vector512<float> d = Vector512.Load((float*)panel);
                Finish(d, x, i0a, i0b, sums);
                if (TRows.Count > 1) { Finish(d, x + 4, i1a, i1b, sums + 32); }
                if (TRows.Count > 2) { Finish(d, x + 8, i2a, i2b, sums + 64); }
                if (TRows.Count > 3) { Finish(d, x + 12, i3a, i3b, sums + 96); }
                if (TRows.Count > 4) { Finish(d, x + 16, i4a, i4b, sums + 128); }
                if (TRows.Count > 5) { Finish(d, x + 20, i5a, i5b, sums + 160); }
                x += 2 * row;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<sbyte> Quad(byte* x) => Vector256.Create(*(int*)x).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> codes, Vector256<sbyte> x) =>
        AvxVnni.MultiplyWideningAndAdd(sum, codes, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector512<float> d, byte* x, Vector256<int> a, Vector256<int> b, float* sum)
    {
        Vector512<float> dot = Vector512.ConvertToSingle(Vector512.Create(a, b));
        Avx512F.FusedMultiplyAdd(dot, d * Vector512.Create(*(float*)x), Vector512.Load(sum)).Store(sum);
    }
}
