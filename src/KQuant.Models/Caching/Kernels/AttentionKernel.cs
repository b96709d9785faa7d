using System.Runtime.Intrinsics;

namespace KQuant.Models.Caching.Kernels;

/// <summary>
/// The two inner loops of attention, for up to four rows of queries at once. Keys come in blocks of sixteen slots with the slots innermost,
/// values in rows.
/// </summary>
internal abstract unsafe class AttentionKernel
{
    /// <summary>Slots of a block of keys.</summary>
    public const int BlockSize = 16;

    /// <summary>Rows of queries per call at most.</summary>
    public const int MaxRows = 4;

    /// <summary>All kernels, best first.</summary>
    public static AttentionKernel[] All { get; } =
    [
        new VectorAttentionKernel<Lanes512>("Vector512", Vector512.IsHardwareAccelerated),
        new VectorAttentionKernel<LanesOfVector>("Vector", System.Numerics.Vector.IsHardwareAccelerated),
        new ScalarAttentionKernel(),
    ];

    /// <summary>The best that this machine has.</summary>
    public static AttentionKernel Best { get; } = All.First(kernel => kernel.IsSupported);

    public abstract string Name { get; }

    public abstract bool IsSupported { get; }

    /// <summary>As many rows as a kernel can take instead of <paramref name="rows"/>: whole fours, and one or two.</summary>
    public static int Pad(int rows) => rows % MaxRows == 3 ? rows + 1 : rows;

    /// <summary>Products of queries with the sixteen keys of a block.</summary>
    /// <param name="queries">Rows of <paramref name="size"/> values.</param>
    /// <param name="rows">1, 2 or 4.</param>
    /// <param name="keys">[size][16].</param>
    /// <param name="size">Values of a head, and from row to row.</param>
    /// <param name="scores">As many rows of sixteen results.</param>
    /// <param name="scoreStride">From row to row.</param>
    public abstract void Score(float* queries, int rows, CacheSpan keys, int size, float* scores, nint scoreStride);

    /// <summary>Adds weighted rows of values to rows of outputs.</summary>
    /// <param name="weights">Rows of <paramref name="count"/> weights.</param>
    /// <param name="rows">1, 2 or 4.</param>
    /// <param name="weightStride">From row to row.</param>
    /// <param name="values">Rows of values, [count][stride].</param>
    /// <param name="stride">From row to row; a multiple of sixteen.</param>
    /// <param name="count">Rows of values.</param>
    /// <param name="outputs">As many rows of <paramref name="stride"/> sums, <paramref name="stride"/> apart.</param>
    public abstract void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs);
}
