namespace KQuant.Matmul.Backends;

/// <summary>Products of spans on any backend: copied to its memory, computed, copied back. For single products; a model keeps buffers.</summary>
public static class MatmulBackendExtensions
{
    /// <inheritdoc cref="IMatmulBackend.Multiply"/>
    /// <param name="backend">Where to compute.</param>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="x">M rows of K values.</param>
    /// <param name="y">M rows of N results.</param>
    public static void Multiply(this IMatmulBackend backend, BackendWeights weights, ReadOnlySpan<float> x, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(weights);
        (long rows, long rest) = Math.DivRem(x.Length, (long)Math.Max(1, weights.Tensor.Shape.Columns));
        if (rest != 0)
        {
            Throw.NotWholeRows(nameof(x), x.Length, weights.Tensor, "columns", weights.Tensor.Shape.Columns);
        }

        if (y.Length != rows * weights.Tensor.Shape.Rows)
        {
            Throw.WrongOutputLength(nameof(y), y.Length, rows, weights.Tensor.Shape.Rows);
        }

        if (x.IsEmpty || y.IsEmpty)
        {
            y.Clear();
            return;
        }

        using BackendBuffer input = backend.Allocate(x.Length), output = backend.Allocate(y.Length);
        x.CopyTo(input.Values);
        backend.Multiply(weights, input, (int)rows, output);
        backend.Synchronize();
        output.Values.CopyTo(y);
    }

    /// <inheritdoc cref="IMatmulBackend.GatherMultiply"/>
    /// <param name="backend">Where to compute.</param>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">The values of x.</param>
    /// <param name="shape">The shape of x: [batch..., M, K], at least two dimensions.</param>
    /// <param name="lhs">Which matrix of x each entry takes; default for all of them in order.</param>
    /// <param name="rhs">Which expert each entry takes; default for all of them in order.</param>
    /// <param name="y">The results, [broadcast shape of lhs and rhs..., M, N].</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    public static void GatherMultiply(
        this IMatmulBackend backend,
        BackendWeights experts,
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        bool sorted = false)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (x.Length != IndexArray.Product(shape, nameof(shape)))
        {
            Throw.WrongShapeLength(nameof(x), x.Length, shape, IndexArray.Product(shape, nameof(shape)));
        }

        if (x.IsEmpty || y.IsEmpty)
        {
            y.Clear();
            return;
        }

        using BackendBuffer input = backend.Allocate(x.Length), output = backend.Allocate(y.Length);
        x.CopyTo(input.Values);
        backend.GatherMultiply(experts, input, shape, lhs, rhs, output, sorted);
        backend.Synchronize();
        output.Values.CopyTo(y);
    }
}
