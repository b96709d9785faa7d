using System.Runtime.Intrinsics;

namespace KQuant.Models.Transformers;

/// <summary>The two inner loops of attention, for four rows of queries at once. See <see cref="LayerCache"/> for the layouts.</summary>
internal abstract unsafe class AttentionKernel
{
    /// <summary>Rows of queries per call.</summary>
    public const int Rows = 4;

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

    /// <summary>Products of four queries with the sixteen keys of a block.</summary>
    /// <param name="queries">Four rows of <paramref name="size"/> values.</param>
    /// <param name="stride">From row to row.</param>
    /// <param name="keys">[size][16].</param>
    /// <param name="size">Values of a head.</param>
    /// <param name="scores">Four rows of sixteen results.</param>
    /// <param name="scoreStride">From row to row.</param>
    public abstract void Score(float* queries, nint stride, float* keys, int size, float* scores, nint scoreStride);

    /// <summary>Adds weighted rows of values to four rows of outputs.</summary>
    /// <param name="weights">Four rows of <paramref name="count"/> weights.</param>
    /// <param name="weightStride">From row to row.</param>
    /// <param name="values">Rows of values, [count][stride].</param>
    /// <param name="stride">From row to row; a multiple of sixteen.</param>
    /// <param name="count">Rows of values.</param>
    /// <param name="outputs">Four rows of <paramref name="stride"/> sums, <paramref name="stride"/> apart.</param>
    public abstract void Accumulate(float* weights, nint weightStride, float* values, int stride, int count, float* outputs);
}
