namespace KQuant.Codecs.Rotations;

/// <summary>
/// A random rotation without structure: the orthogonal factor of a matrix of Gaussian numbers, uniform over all rotations and reflections.
/// It costs n² where a <see cref="HadamardRotation"/> costs n log n.
/// </summary>
/// <remarks>Sums have one order: results have the same bits on every machine.</remarks>
public sealed class OrthogonalRotation : ActivationTransform
{
    /// <summary>The largest size.</summary>
    public const int MaxSize = 1024;

    private readonly float[] _rows;
    private readonly float[] _columns;

    /// <summary>Creates one, in O(n³).</summary>
    /// <param name="size">Values of a row, at most <see cref="MaxSize"/>.</param>
    /// <param name="seed">Makes the matrix.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is out of its range.</exception>
    public OrthogonalRotation(int size, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, MaxSize);
        Size = size;
        _rows = RandomMatrices.CreateOrthonormal(size, size, (ulong)seed);
        _columns = RandomMatrices.Transpose(_rows, size, size);
    }

    /// <summary>Values of a row.</summary>
    public int Size { get; }

    /// <summary>The matrix by rows.</summary>
    public ReadOnlySpan<float> Matrix => _rows;

    internal RotationKernel Kernel { get; init; } = RotationKernel.Best;

    /// <inheritdoc/>
    public override void Apply(Span<float> row) => Multiply(_columns, row);

    /// <inheritdoc/>
    public override void ApplyTransposed(Span<float> row) => Multiply(_rows, row);

    private void Multiply(float[] matrix, Span<float> row)
    {
        if (row.Length != Size)
        {
            Throw.WrongLength("the row", row.Length, Size, nameof(row));
        }

        Span<float> result = stackalloc float[Size];
        Kernel.Combine(matrix, row, result);
        result.CopyTo(row);
    }
}
