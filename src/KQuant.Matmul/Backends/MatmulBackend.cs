using KQuant.Codecs;

namespace KQuant.Matmul.Backends;

/// <summary>
/// Where products are computed: the one seam for other hardware. It is coarse on purpose: a call is the product of a whole matrix, and
/// weights stay where they were uploaded. <see cref="ManagedBackend"/> is the reference that every other one is compared with.
/// </summary>
/// <remarks>
/// <para>
/// Products may be queued. <see cref="Synchronize"/> ends them all; before it the results of a product, and after the call the operands
/// of a product that is queued, must not be touched. A product may take the results of an earlier one as they are: they run in order.
/// </para>
/// <para>All members are safe to call from several threads at once, except against <see cref="IDisposable.Dispose"/>.</para>
/// </remarks>
public abstract class MatmulBackend : IDisposable
{
    /// <summary>What computes, for people to read: <c>cpu (Avx512)</c>, <c>metal (Apple M3 Max)</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Whether <see cref="Upload"/> takes such weights.</summary>
    /// <param name="codec">Their codec.</param>
    /// <param name="shape">Their shape.</param>
    /// <returns>Whether it does.</returns>
    public abstract bool Supports(QuantCodec codec, QuantShape shape);

    /// <summary>Makes weights ready for products, where possible without copying them.</summary>
    /// <param name="weights">A matrix, or a stack of them. It must not be disposed before the result is.</param>
    /// <returns>The weights as the backend has them; the caller disposes them.</returns>
    /// <exception cref="NotSupportedException">The backend does not take such weights.</exception>
    /// <exception cref="BackendException">It would, but its device has no memory for them.</exception>
    public abstract BackendWeights Upload(QuantizedTensor weights);

    /// <summary>Memory for activations and results that the backend reaches without a copy. Its content is undefined.</summary>
    /// <param name="length">How many floats, at least 1.</param>
    /// <returns>The memory; the caller disposes it.</returns>
    public abstract BackendBuffer Allocate(int length);

    /// <summary><c>y = x W^T</c>: every row of x times every row of W.</summary>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="x">Begins with the rows, K values each.</param>
    /// <param name="rows">How many rows x has; at least 1.</param>
    /// <param name="y">Receives as many rows of N results at its beginning; not the buffer of x.</param>
    /// <exception cref="ArgumentException">A buffer is too short or of another backend, x is y, or W is a stack of matrices.</exception>
    /// <exception cref="ObjectDisposedException">The weights, a buffer or the backend were disposed.</exception>
    public abstract void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y);

    /// <summary>
    /// <c>y[p] = x[lhs[p]] W[rhs[p]]^T</c>: products with the experts that are asked for, by the rules of <see cref="QuantizedMatmul"/>.
    /// </summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">Begins with the values of x.</param>
    /// <param name="shape">The shape of x: [batch..., M, K], at least two dimensions, none of them 0.</param>
    /// <param name="lhs">Which matrix of x each entry takes; default for all of them in order.</param>
    /// <param name="rhs">Which expert each entry takes; default for all of them in order.</param>
    /// <param name="y">Receives [broadcast shape of lhs and rhs..., M, N] at its beginning; not the buffer of x.</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    /// <exception cref="ArgumentException">
    /// An index is out of range, shapes do not fit, a buffer is too short or of another backend, x is y, or neither index array is there for a stack.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The weights, a buffer or the backend were disposed.</exception>
    public abstract void GatherMultiply(
        BackendWeights experts, BackendBuffer x, ReadOnlySpan<int> shape, IndexArray lhs, IndexArray rhs, BackendBuffer y, bool sorted = false);

    /// <summary>Waits until every product so far has its results.</summary>
    public abstract void Synchronize();

    /// <summary><c>y = x W^T</c> of spans: copied to the backend's memory, computed, copied back. For single products; a model keeps buffers.</summary>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="x">M rows of K values.</param>
    /// <param name="y">M rows of N results.</param>
    public void Multiply(BackendWeights weights, ReadOnlySpan<float> x, Span<float> y)
    {
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

        using BackendBuffer input = Allocate(x.Length), output = Allocate(y.Length);
        x.CopyTo(input.Values);
        Multiply(weights, input, (int)rows, output);
        Synchronize();
        output.Values.CopyTo(y);
    }

    /// <summary>A gather of spans: copied to the backend's memory, computed, copied back. For single products; a model keeps buffers.</summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">The values of x.</param>
    /// <param name="shape">The shape of x: [batch..., M, K], at least two dimensions.</param>
    /// <param name="lhs">Which matrix of x each entry takes; default for all of them in order.</param>
    /// <param name="rhs">Which expert each entry takes; default for all of them in order.</param>
    /// <param name="y">The results, [broadcast shape of lhs and rhs..., M, N].</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    public void GatherMultiply(
        BackendWeights experts,
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        bool sorted = false)
    {
        if (x.Length != IndexArray.Product(shape, nameof(shape)))
        {
            Throw.WrongShapeLength(nameof(x), x.Length, shape, IndexArray.Product(shape, nameof(shape)));
        }

        if (x.IsEmpty || y.IsEmpty)
        {
            y.Clear();
            return;
        }

        using BackendBuffer input = Allocate(x.Length), output = Allocate(y.Length);
        x.CopyTo(input.Values);
        GatherMultiply(experts, input, shape, lhs, rhs, output, sorted);
        Synchronize();
        output.Values.CopyTo(y);
    }

    /// <summary>Gives the device back. Weights and buffers of the backend are disposed before it.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the device back.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected abstract void Dispose(bool disposing);
}
