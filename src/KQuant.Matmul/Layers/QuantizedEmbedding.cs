using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Layers;

/// <summary>
/// A table of vectors in wire format. Looking some up decodes those rows and no others; as a linear layer the same table gives the logits
/// of a model whose head is tied to its embedding.
/// </summary>
/// <example>
/// <code>
/// var embedding = new QuantizedEmbedding(weights);
/// float[] rows = new float[2 * embedding.Dimensions];
/// embedding.Lookup([7, 5], rows, context);                   // decodes two rows of the matrix
/// embedding.AsLinear().Forward(rows, logits, context);       // and the same matrix as the head
/// </code>
/// </example>
public sealed class QuantizedEmbedding
{
    private readonly QuantizedLinear _linear;

    /// <summary>Makes a table.</summary>
    /// <param name="weights">One matrix [vectors, dimensions]. The table looks at it and does not own it.</param>
    /// <exception cref="ArgumentException">The weights are a stack.</exception>
    public QuantizedEmbedding(QuantizedTensor weights) => _linear = new QuantizedLinear(weights);

    /// <summary>The table, [vectors, dimensions].</summary>
    public QuantizedTensor Weights => _linear.Weights;

    /// <summary>Vectors there are.</summary>
    public long Count => Weights.Shape.Rows;

    /// <summary>Values per vector.</summary>
    public int Dimensions => Weights.Shape.Columns;

    /// <summary>The table as the weights of a linear layer, from <see cref="Dimensions"/> to <see cref="Count"/>. No copy.</summary>
    /// <returns>The layer, always the same.</returns>
    public QuantizedLinear AsLinear() => _linear;

    /// <summary>Decodes vectors.</summary>
    /// <param name="ids">Which ones, in any shape.</param>
    /// <param name="y"><see cref="Dimensions"/> values for each.</param>
    /// <param name="context">Threads and memory.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such vector; nothing was decoded.</exception>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; y is undefined.</exception>
    public unsafe void Lookup(ReadOnlySpan<int> ids, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.ThrowIfDisposed();
        if (y.Length != (long)ids.Length * Dimensions)
        {
            Throw.WrongOutputLength(nameof(y), y.Length, ids.Length, Dimensions);
        }

        for (int i = 0; i < ids.Length; i++)
        {
            if (ids[i] < 0 || ids[i] >= Count)
            {
                Throw.IndexOutOfRange(nameof(ids), i, ids[i], Count, "vectors");
            }
        }

        using TensorLease lease = Weights.Acquire();
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (int* rows = ids)
        fixed (float* output = y)
        {
            if (y.IsEmpty)
            {
                return;
            }

            Workspace workspace = context.Rent();
            try
            {
                workspace.Lookup(new WeightStack(Weights, new PlanePointers(w, scales, zeros)), rows, ids.Length, output, cancellationToken);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }
}
