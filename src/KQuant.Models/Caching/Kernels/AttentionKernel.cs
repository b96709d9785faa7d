using System.Runtime.Intrinsics;
using KQuant.Codecs.Decoding;

namespace KQuant.Models.Caching.Kernels;

/// <summary>
/// The two inner loops of attention. Keys come in blocks of sixteen slots with the slots innermost, values in rows; rows of queries go
/// through them together.
/// </summary>
/// <remarks>The order of additions does not depend on how many rows or slots a call has.</remarks>
internal abstract unsafe class AttentionKernel
{
    /// <summary>Slots of a block of keys.</summary>
    public const int BlockSize = 16;

    /// <summary>Rows of queries that share a load from the cache at most.</summary>
    public const int MaxRows = 4;

    /// <summary>2^112, what the other factor takes for <see cref="OfScaledHalves"/>.</summary>
    public const float HalfScale = Binary16.Scale;

    /// <summary>All kernels, best first.</summary>
    public static AttentionKernel[] All { get; } =
    [
        new VectorAttentionKernel<Lanes512>("Vector512", Vector512.IsHardwareAccelerated, scalesHalves: false),
        new VectorAttentionKernel<LanesOfVector>("Vector", System.Numerics.Vector.IsHardwareAccelerated, scalesHalves: false),
        new ScalarAttentionKernel(scalesHalves: false),
    ];

    /// <summary>The best that this machine has.</summary>
    public static AttentionKernel Best { get; } = All.First(kernel => kernel.IsSupported);

    public abstract string Name { get; }

    public abstract bool IsSupported { get; }

    /// <summary>
    /// The kernel that takes binary16, which must be finite, for 2^-112 of what it is; the other factor has to have taken
    /// <see cref="HalfScale"/> beforehand. Then its results have the same bits, for less work.
    /// </summary>
    public abstract AttentionKernel OfScaledHalves { get; }

    /// <summary>As many rows as a kernel can take instead of <paramref name="rows"/>: whole fours, and one or two.</summary>
    public static int Pad(int rows) => rows % MaxRows == 3 ? rows + 1 : rows;

    /// <summary>Products of queries with the keys of consecutive blocks.</summary>
    /// <param name="queries">Rows of <paramref name="size"/> values.</param>
    /// <param name="rows">As <see cref="Pad"/> gives them.</param>
    /// <param name="keys">[blocks][size][16].</param>
    /// <param name="blocks">Blocks.</param>
    /// <param name="size">Values of a head, and from row to row.</param>
    /// <param name="scores">As many rows of a result for each slot.</param>
    /// <param name="scoreStride">From row to row.</param>
    public abstract void Score(float* queries, int rows, CacheSpan keys, int blocks, int size, float* scores, nint scoreStride);

    /// <summary>Adds weighted rows of values to rows of outputs.</summary>
    /// <param name="weights">Rows of <paramref name="count"/> weights.</param>
    /// <param name="rows">As <see cref="Pad"/> gives them.</param>
    /// <param name="weightStride">From row to row.</param>
    /// <param name="values">Rows of values, [count][stride].</param>
    /// <param name="stride">From row to row; a multiple of sixteen.</param>
    /// <param name="count">Rows of values.</param>
    /// <param name="outputs">As many rows of <paramref name="stride"/> sums, <paramref name="stride"/> apart.</param>
    public abstract void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs);

    /// <summary>Elements as the floats that this kernel takes them for.</summary>
    /// <param name="source">The elements.</param>
    /// <param name="count">How many; a multiple of sixteen.</param>
    /// <param name="target">Room for them.</param>
    public abstract void Widen(CacheSpan source, int count, float* target);
}
