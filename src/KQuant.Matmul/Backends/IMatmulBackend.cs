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
public interface IMatmulBackend : IDisposable
{
    /// <summary>What computes, for people to read: <c>cpu (Avx512)</c>, <c>metal (Apple M3 Max)</c>.</summary>
    string Name { get; }

    /// <summary>Whether <see cref="Upload"/> takes such weights.</summary>
    /// <param name="codec">Their codec.</param>
    /// <param name="shape">Their shape.</param>
    /// <returns>Whether it does.</returns>
    bool Supports(QuantCodec codec, QuantShape shape);

    /// <summary>Makes weights ready for products, where possible without copying them.</summary>
    /// <param name="weights">A matrix, or a stack of them. It must not be disposed before the result is.</param>
    /// <returns>The weights as the backend has them; the caller disposes them.</returns>
    /// <exception cref="NotSupportedException">The backend does not take such weights.</exception>
    /// <exception cref="BackendException">It would, but its device has no memory for them.</exception>
    BackendWeights Upload(QuantizedTensor weights);

    /// <summary>Memory for activations and results that the backend reaches without a copy. Its content is undefined.</summary>
    /// <param name="length">How many floats, at least 1.</param>
    /// <returns>The memory; the caller disposes it.</returns>
    BackendBuffer Allocate(int length);

    /// <summary><c>y = x W^T</c>: every row of x times every row of W.</summary>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="x">Begins with the rows, K values each.</param>
    /// <param name="rows">How many rows x has; at least 1.</param>
    /// <param name="y">Receives as many rows of N results at its beginning; not the buffer of x.</param>
    /// <exception cref="ArgumentException">A buffer is too short or of another backend, x is y, or W is a stack of matrices.</exception>
    /// <exception cref="ObjectDisposedException">The weights, a buffer or the backend were disposed.</exception>
    void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y);

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
    void GatherMultiply(
        BackendWeights experts, BackendBuffer x, ReadOnlySpan<int> shape, IndexArray lhs, IndexArray rhs, BackendBuffer y, bool sorted = false);

    /// <summary>Waits until every product so far has its results.</summary>
    void Synchronize();
}
