namespace KQuant.Codecs.Rotations;

/// <summary>The inner loops of rotations, codebooks and sketches. All have the same bits: sums are in one order, and no product is fused with one.</summary>
internal abstract unsafe class RotationKernel
{
    /// <summary>All kernels, best first.</summary>
    public static RotationKernel[] All { get; } = [new VectorRotationKernel(), new ScalarRotationKernel()];

    /// <summary>The best that this machine has.</summary>
    public static RotationKernel Best { get; } = All.First(kernel => kernel.IsSupported);

    public abstract string Name { get; }

    public abstract bool IsSupported { get; }

    /// <summary>Walsh-Hadamard transforms of runs in their natural order, not normalised: sums and differences of values 1, 2, 4, ... apart.</summary>
    /// <param name="values">Runs behind each other.</param>
    /// <param name="runs">How many.</param>
    /// <param name="length">Values of a run, a power of two.</param>
    public abstract void Butterflies(float* values, int runs, int length);

    /// <summary>Multiplies runs, as if each were a number, with a matrix of signs; sums go from the first run to the last.</summary>
    /// <param name="values">Runs behind each other.</param>
    /// <param name="matrix">1 and -1, by rows.</param>
    /// <param name="runs">How many, at most 28.</param>
    /// <param name="length">Values of a run.</param>
    public abstract void Mix(float* values, sbyte* matrix, int runs, int length);

    /// <summary>The sum of the rows of a matrix, each times its weight, from the first to the last.</summary>
    /// <param name="matrix">As many rows as there are weights, as long as the result.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="result">The sum.</param>
    public abstract void Combine(ReadOnlySpan<float> matrix, ReadOnlySpan<float> weights, Span<float> result);

    /// <summary>How many boundaries are no larger than each value; not-a-number has none.</summary>
    /// <param name="values">The values.</param>
    /// <param name="boundaries">Ascending, 255 at most.</param>
    /// <param name="codes">As many results.</param>
    public abstract void Assign(ReadOnlySpan<float> values, ReadOnlySpan<float> boundaries, Span<byte> codes);

    /// <summary>The centroids of codes, times a factor.</summary>
    /// <param name="codes">The codes.</param>
    /// <param name="centroids">As many as there are codes: 2, 4, 8, ..., 256.</param>
    /// <param name="factor">What they are multiplied with.</param>
    /// <param name="values">As many results.</param>
    public abstract void LookUp(ReadOnlySpan<byte> codes, ReadOnlySpan<float> centroids, float factor, Span<float> values);
}
