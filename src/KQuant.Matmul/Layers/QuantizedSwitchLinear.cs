using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Layers;

/// <summary>
/// The linear layers of a mixture of experts: each row of x goes through the experts that were chosen for it,
/// <c>y[t, s] = x[t] W[ids[t, s]]^T + b[ids[t, s]]</c>. The layer looks at its tensor and does not own it.
/// </summary>
/// <remarks>
/// The number of experts per row follows from the lengths: as many indices as there are rows of x for each. Where every expert's row has an x of its own (the
/// projection back), pass those rows, one index each.
/// </remarks>
/// <example>
/// <code>
/// var layer = new QuantizedSwitchLinear(experts);
/// int[] ids = [0, 3, 1, 2, 3, 0];                            // two experts for each of three tokens
/// float[] y = new float[ids.Length * layer.Outputs];
/// layer.Forward(x, ids, y, context);
/// </code>
/// </example>
public sealed class QuantizedSwitchLinear
{
    /// <summary>Makes a layer.</summary>
    /// <param name="experts">W, [experts, outputs, inputs].</param>
    /// <param name="bias">b, [experts, outputs]; empty for none. Not copied.</param>
    /// <exception cref="ArgumentException">The bias has another length.</exception>
    public QuantizedSwitchLinear(QuantizedTensor experts, ReadOnlyMemory<float> bias = default)
    {
        ArgumentNullException.ThrowIfNull(experts);
        Throw.IfBiasLengthIsNot(bias, experts.Shape.TotalRows, experts);
        Experts = experts;
        Bias = bias;
    }

    /// <summary>Makes a layer with weights arranged for this machine.</summary>
    /// <param name="experts">W, [experts, outputs, inputs], arranged.</param>
    /// <param name="bias">b, [experts, outputs]; empty for none. Not copied.</param>
    /// <exception cref="ArgumentException">The bias has another length.</exception>
    public QuantizedSwitchLinear(PackedTensor experts, ReadOnlyMemory<float> bias = default)
        : this(experts?.Weights!, bias) => Packed = experts;

    /// <summary>W, [experts, outputs, inputs].</summary>
    public QuantizedTensor Experts { get; }

    /// <summary>W arranged for this machine, if it was given so.</summary>
    public PackedTensor? Packed { get; }

    /// <summary>b, [experts, outputs], or empty.</summary>
    public ReadOnlyMemory<float> Bias { get; }

    /// <summary>Values per row of x.</summary>
    public int Inputs => Experts.Shape.Columns;

    /// <summary>Values per row of y.</summary>
    public long Outputs => Experts.Shape.Rows;

    /// <summary>Sends every row through its experts.</summary>
    /// <param name="x">T rows of <see cref="Inputs"/> values.</param>
    /// <param name="ids">The experts of the rows, [T, S].</param>
    /// <param name="y">The results, [T, S, outputs]; must not overlap x.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from index to index.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such expert.</exception>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap.</exception>
    public void Forward(
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> ids,
        Span<float> y,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default)
    {
        (int rows, int perRow) = Shape(x.Length, nameof(x), ids.Length);
        QuantizedMatmul.Gather(
            ProductKind.Forward,
            Experts,
            Packed,
            Bias.Span,
            x,
            [rows, 1, 1, Inputs],
            default,
            new IndexArray(ids, [rows, perRow]),
            y,
            context,
            sorted,
            cancellationToken);
    }

    /// <summary>The gradient with respect to x, in float32: <c>dx[t] = sum over s of dy[t, s] W[ids[t, s]]</c>.</summary>
    /// <param name="dy">The gradient of the results, [T, S, outputs].</param>
    /// <param name="ids">The experts of the rows, [T, S].</param>
    /// <param name="dx">The gradient of x, T rows of <see cref="Inputs"/>; must not overlap dy.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from index to index.</param>
    /// <param name="cancellationToken">Ends the product early.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such expert.</exception>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap.</exception>
    public void Backward(
        ReadOnlySpan<float> dy,
        ReadOnlySpan<int> ids,
        Span<float> dx,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default)
    {
        (int rows, int perRow) = Shape(dx.Length, nameof(dx), ids.Length);
        QuantizedMatmul.GatherGradient(
            Experts, dy, [rows, 1, 1, Inputs], default, new IndexArray(ids, [rows, perRow]), dx, context, sorted, cancellationToken);
    }

    private (int Rows, int PerRow) Shape(int length, string name, int ids)
    {
        if (Inputs == 0 || length % Inputs != 0)
        {
            Throw.NotWholeRows(name, length, Experts, "columns", Inputs);
        }

        int rows = length / Inputs;
        if (rows == 0 ? ids != 0 : ids % rows != 0)
        {
            Throw.UnevenIndices(ids, rows);
        }

        return (rows, rows == 0 ? 1 : ids / rows);
    }
}
