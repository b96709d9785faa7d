using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Layers;

/// <summary>
/// A linear layer for every head of an attention block (the absorbed projections of multi-head latent attention):
/// <c>y[b, h] = x[b, h] W[h]^T</c>, or <c>x[b, h] W[h]</c>. The layer looks at its tensor and does not own it.
/// </summary>
public sealed class QuantizedMultiLinear
{
    /// <summary>Makes a layer.</summary>
    /// <param name="weights">W, [heads, outputs, inputs].</param>
    public QuantizedMultiLinear(QuantizedTensor weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Weights = weights;
    }

    /// <summary>W, [heads, outputs, inputs].</summary>
    public QuantizedTensor Weights { get; }

    /// <summary>Heads.</summary>
    public int Heads => (int)Weights.Shape.Experts;

    /// <summary>The inner dimension of <see cref="Forward"/>.</summary>
    public int Inputs => Weights.Shape.Columns;

    /// <summary>The outer dimension of <see cref="Forward"/>.</summary>
    public int Outputs => (int)Weights.Shape.Rows;

    /// <summary><c>y[b, h] = x[b, h] W[h]^T</c>.</summary>
    /// <param name="x">[batches, xHeads, length, inputs].</param>
    /// <param name="shape">That shape. xHeads is <see cref="Heads"/>, or 1 when all heads of a batch have the same x.</param>
    /// <param name="y">[batches, heads, length, outputs]; must not overlap x.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A shape or length does not fit, or spans overlap.</exception>
    public void Forward(
        ReadOnlySpan<float> x, ReadOnlySpan<int> shape, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default) =>
        Run(ProductKind.Forward, isGradient: false, x, shape, y, context, cancellationToken);

    /// <summary><c>y[b, h] = x[b, h] W[h]</c>, contracted over the other side of W. Always in float32.</summary>
    /// <param name="x">[batches, xHeads, length, outputs].</param>
    /// <param name="shape">That shape. xHeads is <see cref="Heads"/>, or 1 when all heads of a batch have the same x.</param>
    /// <param name="y">[batches, heads, length, inputs]; must not overlap x.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A shape or length does not fit, or spans overlap.</exception>
    public void ForwardTransposed(
        ReadOnlySpan<float> x, ReadOnlySpan<int> shape, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default) =>
        Run(ProductKind.Transposed, isGradient: false, x, shape, y, context, cancellationToken);

    /// <summary>The gradient of <see cref="Forward"/> with respect to x, in float32; summed over the heads that shared one.</summary>
    /// <param name="dy">[batches, heads, length, outputs].</param>
    /// <param name="shape">The shape of x.</param>
    /// <param name="dx">The gradient, in that shape; must not overlap dy.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A shape or length does not fit, or spans overlap.</exception>
    public void Backward(
        ReadOnlySpan<float> dy, ReadOnlySpan<int> shape, Span<float> dx, MatmulContext context, CancellationToken cancellationToken = default) =>
        Run(ProductKind.Transposed, isGradient: true, dy, shape, dx, context, cancellationToken);

    /// <summary>The gradient of <see cref="ForwardTransposed"/> with respect to x, in float32; summed over the heads that shared one.</summary>
    /// <param name="dy">[batches, heads, length, inputs].</param>
    /// <param name="shape">The shape of x.</param>
    /// <param name="dx">The gradient, in that shape; must not overlap dy.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A shape or length does not fit, or spans overlap.</exception>
    public void BackwardTransposed(
        ReadOnlySpan<float> dy, ReadOnlySpan<int> shape, Span<float> dx, MatmulContext context, CancellationToken cancellationToken = default) =>
        Run(ProductKind.ForwardInFloat, isGradient: true, dy, shape, dx, context, cancellationToken);

    private void Run(
        ProductKind kind,
        bool isGradient,
        ReadOnlySpan<float> input,
        ReadOnlySpan<int> shape,
        Span<float> output,
        MatmulContext context,
        CancellationToken cancellation)
    {
        if (shape.Length != 4 || (shape[1] != Heads && shape[1] != 1))
        {
            Throw.WrongHeads(shape, Weights);
        }

        QuantizedMatmul.MultiplyHeads(kind, isGradient, Weights, input, shape, output, context, cancellation);
    }
}
