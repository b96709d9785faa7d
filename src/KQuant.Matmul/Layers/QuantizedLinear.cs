using KQuant.Codecs;

namespace KQuant.Matmul.Layers;

/// <summary>
/// A linear layer whose weights stay in their wire format: <c>y = x W^T + b</c>. The weights are frozen; the gradient goes to x alone.
/// The layer looks at its tensor and does not own it.
/// </summary>
/// <example>
/// <code>
/// var layer = new QuantizedLinear(weights, bias);
/// float[] y = new float[3 * layer.Outputs];
/// layer.Forward(x, y, context);                              // y = x W^T + bias
/// layer.Backward(dy, dx, context);                           // the gradient for x; W stays as it is
/// </code>
/// </example>
public sealed class QuantizedLinear
{
    /// <summary>Makes a layer.</summary>
    /// <param name="weights">W, one matrix [outputs, inputs].</param>
    /// <param name="bias">b, one value per output; empty for none. Not copied.</param>
    /// <exception cref="ArgumentException">The weights are a stack, or the bias has another length.</exception>
    public QuantizedLinear(QuantizedTensor weights, ReadOnlyMemory<float> bias = default)
    {
        ArgumentNullException.ThrowIfNull(weights);
        if (weights.Shape.Experts != 1)
        {
            Throw.StackNotMatrix(weights);
        }

        Throw.IfBiasLengthIsNot(bias, weights.Shape.Rows, weights);
        Weights = weights;
        Bias = bias;
    }

    /// <summary>Makes a layer with weights arranged for this machine.</summary>
    /// <param name="weights">W, one matrix [outputs, inputs], arranged.</param>
    /// <param name="bias">b, one value per output; empty for none. Not copied.</param>
    /// <exception cref="ArgumentException">The weights are a stack, or the bias has another length.</exception>
    public QuantizedLinear(PackedTensor weights, ReadOnlyMemory<float> bias = default)
        : this(weights?.Weights!, bias) => Packed = weights;

    /// <summary>W, [outputs, inputs].</summary>
    public QuantizedTensor Weights { get; }

    /// <summary>W arranged for this machine, if it was given so.</summary>
    public PackedTensor? Packed { get; }

    /// <summary>b, one value per output, or empty.</summary>
    public ReadOnlyMemory<float> Bias { get; }

    /// <summary>Values per row of x.</summary>
    public int Inputs => Weights.Shape.Columns;

    /// <summary>Values per row of y.</summary>
    public long Outputs => Weights.Shape.Rows;

    /// <summary><c>y = x W^T + b</c>.</summary>
    /// <param name="x">Rows of <see cref="Inputs"/> values.</param>
    /// <param name="y">As many rows of <see cref="Outputs"/> results; must not overlap x.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap.</exception>
    public void Forward(ReadOnlySpan<float> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default) =>
        QuantizedMatmul.MultiplyRows(Weights, Packed, Bias.Span, x, y, context, cancellationToken);

    /// <inheritdoc cref="Forward(ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    public void Forward<T>(ReadOnlySpan<T> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default)
        where T : unmanaged =>
        QuantizedMatmul.MultiplyRows(Weights, Packed, Bias.Span, x, y, context, cancellationToken);

    /// <summary>The gradient with respect to x: <c>dx = dy W</c>, in float32.</summary>
    /// <param name="dy">Rows of <see cref="Outputs"/> values.</param>
    /// <param name="dx">As many rows of <see cref="Inputs"/> results; must not overlap dy.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap.</exception>
    public void Backward(ReadOnlySpan<float> dy, Span<float> dx, MatmulContext context, CancellationToken cancellationToken = default) =>
        QuantizedMatmul.MultiplyTransposed(Weights, dy, dx, context, cancellationToken);
}
