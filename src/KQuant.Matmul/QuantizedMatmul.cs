using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

/// <summary>
/// Products with weights that stay in their wire format: all block codecs, and F32, F16, BF16. Inputs are float32, <see cref="Half"/> or
/// <see cref="BFloat16"/>, results float32. Leading dimensions of inputs are rows: <c>[batch, time, columns]</c> is <c>batch * time</c> rows.
/// </summary>
/// <remarks>
/// <para>
/// A gather multiplies matrix number <c>lhs[p]</c> of <c>x</c>, whose shape is <c>[batch..., rows, inner]</c>, by expert number <c>rhs[p]</c>,
/// for every position p of the two index arrays broadcast together; both count over flattened leading dimensions. Where <c>lhs</c> is
/// missing it is 0, 1, 2, ... in the shape <c>[batch...]</c>; where <c>rhs</c> is missing it is 0, 1, 2, ... over all experts. The result
/// has the shape <c>[broadcast shape..., rows, outer]</c>. These are the rules of <c>gather_qmm</c> in MLX, with every index checked.
/// </para>
/// <para>
/// <c>sorted</c> promises that the expert numbers ascend from entry to entry, which saves sorting them. A broken promise costs time, never
/// correctness. Each expert's weights are read once however its entries lie, and what several entries have in common is computed once.
/// </para>
/// <para>
/// Everything is checked before anything is computed. A cancelled product leaves its output undefined. Inputs are not changed.
/// </para>
/// </remarks>
public static unsafe partial class QuantizedMatmul
{
    /// <summary><c>y = x W^T</c>: every row of x times every row of W.</summary>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="x">M rows of K values.</param>
    /// <param name="y">M rows of N results; must not overlap x or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentException">Lengths do not fit, spans overlap, or W is a stack of matrices.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; y is undefined.</exception>
    /// <example>
    /// <code>
    /// float[] y = new float[3 * weights.Shape.Rows];             // three rows of x: y = x W^T
    /// QuantizedMatmul.Multiply(weights, x, y, context);
    /// </code>
    /// </example>
    public static void Multiply(
        QuantizedTensor weights, ReadOnlySpan<float> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default) =>
        MultiplyRows(weights, null, default, x, y, context, cancellationToken);

    /// <inheritdoc cref="Multiply(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    public static void Multiply<T>(
        QuantizedTensor weights, ReadOnlySpan<T> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default)
        where T : unmanaged =>
        MultiplyRows(weights, null, default, x, y, context, cancellationToken);

    /// <summary>
    /// <c>dx = dy W</c>: the gradient of <see cref="Multiply(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    /// with respect to x. Always in float32, whatever <see cref="MatmulOptions.Activations"/> says.
    /// </summary>
    /// <param name="weights">W, one matrix [N, K].</param>
    /// <param name="dy">M rows of N values.</param>
    /// <param name="dx">M rows of K results; must not overlap dy or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentException">Lengths do not fit, spans overlap, or W is a stack of matrices.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; dx is undefined.</exception>
    /// <example>
    /// <code>
    /// float[] dx = new float[3 * weights.Shape.Columns];         // what the gradient dy of y = x W^T is for x
    /// QuantizedMatmul.MultiplyTransposed(weights, dy, dx, context);
    /// </code>
    /// </example>
    public static void MultiplyTransposed(
        QuantizedTensor weights, ReadOnlySpan<float> dy, Span<float> dx, MatmulContext context, CancellationToken cancellationToken = default) =>
        MultiplyRowsTransposed(weights, dy, dx, context, cancellationToken);

    /// <inheritdoc cref="MultiplyTransposed(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    public static void MultiplyTransposed<T>(
        QuantizedTensor weights, ReadOnlySpan<T> dy, Span<float> dx, MatmulContext context, CancellationToken cancellationToken = default)
        where T : unmanaged =>
        MultiplyRowsTransposed(weights, dy, dx, context, cancellationToken);

    /// <summary>A product whose results get a bias, [N]; an empty span for none.</summary>
    internal static void MultiplyRows<T>(
        QuantizedTensor weights,
        PackedTensor? packed,
        ReadOnlySpan<float> bias,
        ReadOnlySpan<T> x,
        Span<float> y,
        MatmulContext context,
        CancellationToken cancellation)
        where T : unmanaged
    {
        CheckMatrix(weights, context);
        int rows = CountRows(x.Length, weights, "columns", weights.Shape.Columns, nameof(x));
        CheckLength(y, rows, weights.Shape.Rows, nameof(y));
        using TensorLease lease = weights.Acquire();
        using PackedLease arranged = PackedTensor.Acquire(packed);
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (float* b = bias)
        fixed (T* input = x)
        fixed (float* output = y)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(input, x.Length, nameof(x), output, y.Length, nameof(y));
            CheckOverlap(weights, nameof(weights), planes, output, y.Length, nameof(y));
            if (x.IsEmpty || y.IsEmpty)
            {
                y.Clear();
                return;
            }

            Workspace workspace = context.Rent();
            try
            {
                workspace.Plan.SetSingle(rows, output, (nint)weights.Shape.Rows);
                var source = new RowSource(input, FloatFormats.Of<T>(), weights.Shape.Columns);
                workspace.Run(ProductKind.Forward, new WeightStack(weights, planes, b, arranged.Weights), source, cancellation);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    private static void MultiplyRowsTransposed<T>(
        QuantizedTensor weights, ReadOnlySpan<T> dy, Span<float> dx, MatmulContext context, CancellationToken cancellation)
        where T : unmanaged
    {
        CheckMatrix(weights, context);
        int rows = CountRows(dy.Length, weights, "rows", weights.Shape.Rows, nameof(dy));
        CheckLength(dx, rows, weights.Shape.Columns, nameof(dx));
        using TensorLease lease = weights.Acquire();
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (T* input = dy)
        fixed (float* output = dx)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(input, dy.Length, nameof(dy), output, dx.Length, nameof(dx));
            CheckOverlap(weights, nameof(weights), planes, output, dx.Length, nameof(dx));
            if (dy.IsEmpty || dx.IsEmpty)
            {
                dx.Clear();
                return;
            }

            Workspace workspace = context.Rent();
            try
            {
                workspace.Plan.SetSingle(rows, output, weights.Shape.Columns);
                var source = new RowSource(input, FloatFormats.Of<T>(), (int)weights.Shape.Rows);
                workspace.Run(ProductKind.Transposed, new WeightStack(weights, planes), source, cancellation);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    private static void CheckMatrix([NotNull] QuantizedTensor? weights, [NotNull] MatmulContext? context)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(context);
        context.ThrowIfDisposed();
        if (weights.Shape.Experts != 1)
        {
            Throw.StackNotMatrix(weights);
        }
    }

    /// <summary>Whole rows of the inner dimension; -1 when that dimension is empty and there could be any number.</summary>
    private static int CountRows(int length, QuantizedTensor weights, string dimension, long inner, string name)
    {
        if (inner == 0 ? length != 0 : length % inner != 0)
        {
            Throw.NotWholeRows(name, length, weights, dimension, inner);
        }

        return inner == 0 ? -1 : (int)(length / inner);
    }

    private static void CheckLength(ReadOnlySpan<float> output, int rows, long columns, string name)
    {
        if (rows < 0 ? columns == 0 ? output.Length != 0 : output.Length % columns != 0 : output.Length != rows * columns)
        {
            Throw.WrongOutputLength(name, output.Length, rows, columns);
        }
    }

    private static void CheckOverlap<T>(T* input, long inputLength, string inputName, float* output, long outputLength, string outputName)
        where T : unmanaged
    {
        if (inputLength > 0 && outputLength > 0
            && (byte*)input < (byte*)(output + outputLength) && (byte*)output < (byte*)(input + inputLength))
        {
            Throw.Overlap(inputName, outputName);
        }
    }

    private static void CheckOverlap(
        QuantizedTensor weights, string name, in PlanePointers planes, float* output, long outputLength, string outputName)
    {
        CheckOverlap(planes.Codes, weights.RowByteCount * weights.Shape.TotalRows, name, output, outputLength, outputName);
        if (planes.Scales != null)
        {
            CheckOverlap(planes.Scales, weights.GetRowByteCount(1) * weights.Shape.TotalRows, name, output, outputLength, outputName);
            CheckOverlap(planes.Biases, weights.GetRowByteCount(2) * weights.Shape.TotalRows, name, output, outputLength, outputName);
        }
    }
}
