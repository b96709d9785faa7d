using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

public static unsafe partial class QuantizedMatmul
{
    /// <summary><c>y[p] = x[lhs[p]] W[rhs[p]]^T</c>: products with the experts that are asked for.</summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">The values of x.</param>
    /// <param name="shape">The shape of x: [batch..., M, K], at least two dimensions.</param>
    /// <param name="lhs">Which matrix of x each entry takes; default for all of them in order.</param>
    /// <param name="rhs">Which expert each entry takes; default for all of them in order.</param>
    /// <param name="y">The results, [broadcast shape of lhs and rhs..., M, N]; must not overlap x or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentOutOfRangeException">An index is out of range; the message names the entry.</exception>
    /// <exception cref="ArgumentException">Shapes or lengths do not fit, spans overlap, or neither index array is there for a stack.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; y is undefined.</exception>
    /// <example>
    /// <code>
    /// // Three tokens, two experts for each: six rows of results.
    /// var chosen = new IndexArray([0, 3, 1, 2, 3, 0], [3, 2]);
    /// float[] y = new float[6 * experts.Shape.Rows];
    /// QuantizedMatmul.GatherMultiply(experts, x, [3, 1, 1, experts.Shape.Columns], default, chosen, y, context);
    /// </code>
    /// </example>
    public static void GatherMultiply(
        QuantizedTensor experts,
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default) =>
        Gather(ProductKind.Forward, experts, null, default, x, shape, lhs, rhs, y, context, sorted, cancellationToken);

    /// <inheritdoc cref="GatherMultiply(QuantizedTensor, ReadOnlySpan{float}, ReadOnlySpan{int}, IndexArray, IndexArray, Span{float}, MatmulContext, bool, CancellationToken)"/>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    public static void GatherMultiply<T>(
        QuantizedTensor experts,
        ReadOnlySpan<T> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default)
        where T : unmanaged =>
        Gather(ProductKind.Forward, experts, null, default, x, shape, lhs, rhs, y, context, sorted, cancellationToken);

    /// <summary><c>y[p] = x[lhs[p]] W[rhs[p]]</c>: the experts as they are, contracted over their rows. Always in float32.</summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">The values of x.</param>
    /// <param name="shape">The shape of x: [batch..., M, N], at least two dimensions.</param>
    /// <param name="lhs">Which matrix of x each entry takes; default for all of them in order.</param>
    /// <param name="rhs">Which expert each entry takes; default for all of them in order.</param>
    /// <param name="y">The results, [broadcast shape of lhs and rhs..., M, K]; must not overlap x or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentOutOfRangeException">An index is out of range; the message names the entry.</exception>
    /// <exception cref="ArgumentException">Shapes or lengths do not fit, spans overlap, or neither index array is there for a stack.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; y is undefined.</exception>
    public static void GatherMultiplyTransposed(
        QuantizedTensor experts,
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default) =>
        Gather(ProductKind.Transposed, experts, null, default, x, shape, lhs, rhs, y, context, sorted, cancellationToken);

    /// <summary>
    /// The gradient of <see cref="GatherMultiply(QuantizedTensor, ReadOnlySpan{float}, ReadOnlySpan{int}, IndexArray, IndexArray, Span{float}, MatmulContext, bool, CancellationToken)"/>
    /// with respect to x: <c>dx[i] = sum over the entries p with lhs[p] = i of dy[p] W[rhs[p]]</c>. Always in float32.
    /// </summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="dy">The gradient of the results, [broadcast shape of lhs and rhs..., M, N].</param>
    /// <param name="shape">The shape of x: [batch..., M, K], at least two dimensions.</param>
    /// <param name="lhs">As it was in the product.</param>
    /// <param name="rhs">As it was in the product.</param>
    /// <param name="dx">The gradient of x, in its shape; zero where no entry used it. Must not overlap dy or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentOutOfRangeException">An index is out of range; the message names the entry.</exception>
    /// <exception cref="ArgumentException">Shapes or lengths do not fit, spans overlap, or neither index array is there for a stack.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; dx is undefined.</exception>
    public static void GatherGradient(
        QuantizedTensor experts,
        ReadOnlySpan<float> dy,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> dx,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default) =>
        Gradient(ProductKind.Transposed, experts, dy, shape, lhs, rhs, dx, context, sorted, cancellationToken);

    /// <summary>
    /// The gradient of <see cref="GatherMultiplyTransposed"/> with respect to x:
    /// <c>dx[i] = sum over the entries p with lhs[p] = i of dy[p] W[rhs[p]]^T</c>. Always in float32.
    /// </summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="dy">The gradient of the results, [broadcast shape of lhs and rhs..., M, K].</param>
    /// <param name="shape">The shape of x: [batch..., M, N], at least two dimensions.</param>
    /// <param name="lhs">As it was in the product.</param>
    /// <param name="rhs">As it was in the product.</param>
    /// <param name="dx">The gradient of x, in its shape; zero where no entry used it. Must not overlap dy or W.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="sorted">The experts ascend from entry to entry.</param>
    /// <param name="cancellationToken">Ends the product early; looked at about once per millisecond.</param>
    /// <exception cref="ArgumentOutOfRangeException">An index is out of range; the message names the entry.</exception>
    /// <exception cref="ArgumentException">Shapes or lengths do not fit, spans overlap, or neither index array is there for a stack.</exception>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; dx is undefined.</exception>
    public static void GatherTransposedGradient(
        QuantizedTensor experts,
        ReadOnlySpan<float> dy,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> dx,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default) =>
        Gradient(ProductKind.ForwardInFloat, experts, dy, shape, lhs, rhs, dx, context, sorted, cancellationToken);

    /// <summary>A gather whose results get the bias of their expert, [E, N]; an empty span for none.</summary>
    internal static void Gather<T>(
        ProductKind kind,
        QuantizedTensor experts,
        PackedTensor? packed,
        ReadOnlySpan<float> biases,
        ReadOnlySpan<T> x,
        ReadOnlySpan<int> shape,
        in IndexArray lhs,
        in IndexArray rhs,
        Span<float> y,
        MatmulContext context,
        bool sorted,
        CancellationToken cancellation)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(experts);
        ArgumentNullException.ThrowIfNull(context);
        GatherSides sides = GatherSides.Of(kind, experts);
        CheckGather(experts, context, shape, lhs, rhs, sides);
        if (x.Length != IndexArray.Product(shape, nameof(shape)))
        {
            Throw.WrongShapeLength(nameof(x), x.Length, shape, IndexArray.Product(shape, nameof(shape)));
        }

        using TensorLease lease = experts.Acquire();
        using PackedLease arranged = PackedTensor.Acquire(packed);
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (float* b = biases)
        fixed (T* input = x)
        fixed (float* output = y)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(input, x.Length, nameof(x), output, y.Length, nameof(y));
            CheckOverlap(experts, nameof(experts), planes, output, y.Length, nameof(y));
            Workspace workspace = context.Rent();
            try
            {
                GatherPairs pairs = workspace.Pairs;
                pairs.Resolve(lhs, rhs, shape[..^2], experts.Shape.Experts);
                int rows = shape[^2];
                CheckEntries(y.Length, pairs.Count, rows, sides.Outer, nameof(y));
                if (x.IsEmpty || y.IsEmpty)
                {
                    y.Clear();
                    return;
                }

                var source = new RowSource(input, FloatFormats.Of<T>(), shape[^1]);
                workspace.Gather(kind, new WeightStack(experts, planes, b, arranged.Weights), source, rows, sorted, output, cancellation);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    // The entries of dy are multiplied, each by its expert, as items of their own; what belongs to the same matrix of x is added up.
    private static void Gradient(
        ProductKind kind,
        QuantizedTensor experts,
        ReadOnlySpan<float> dy,
        ReadOnlySpan<int> shape,
        in IndexArray lhs,
        in IndexArray rhs,
        Span<float> dx,
        MatmulContext context,
        bool sorted,
        CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(experts);
        ArgumentNullException.ThrowIfNull(context);
        GatherSides sides = GatherSides.Of(kind, experts);
        CheckGather(experts, context, shape, lhs, rhs, sides.Swapped);
        if (dx.Length != IndexArray.Product(shape, nameof(shape)))
        {
            Throw.WrongShapeLength(nameof(dx), dx.Length, shape, IndexArray.Product(shape, nameof(shape)));
        }

        using TensorLease lease = experts.Acquire();
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (float* input = dy)
        fixed (float* output = dx)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(input, dy.Length, nameof(dy), output, dx.Length, nameof(dx));
            CheckOverlap(experts, nameof(experts), planes, output, dx.Length, nameof(dx));
            Workspace workspace = context.Rent();
            try
            {
                GatherPairs pairs = workspace.Pairs;
                pairs.Resolve(lhs, rhs, shape[..^2], experts.Shape.Experts);
                int rows = shape[^2];
                CheckEntries(dy.Length, pairs.Count, rows, sides.Inner, nameof(dy));
                if (dy.IsEmpty || dx.IsEmpty)
                {
                    dx.Clear();
                    return;
                }

                var source = new RowSource(input, QuantFormat.F32, (int)sides.Inner);
                workspace.GatherGradient(kind, new WeightStack(experts, planes), source, rows, sorted, output, cancellation);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    /// <summary>Head h of every batch times matrix h; or, for a gradient, the sum over the heads that share an item.</summary>
    internal static void MultiplyHeads(
        ProductKind kind,
        bool isGradient,
        QuantizedTensor weights,
        ReadOnlySpan<float> input,
        ReadOnlySpan<int> shape,
        Span<float> output,
        MatmulContext context,
        CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.ThrowIfDisposed();
        GatherSides sides = GatherSides.Of(kind, weights);
        CheckInner(shape, weights, isGradient ? sides.Swapped : sides);
        (int batches, int heads, int length) = (shape[0], (int)weights.Shape.Experts, shape[2]);
        int items = IndexArray.Product(shape, nameof(shape));
        long pairs = (long)batches * heads * length;
        if ((isGradient ? output.Length : input.Length) != items)
        {
            Throw.WrongShapeLength(isGradient ? "dx" : "x", isGradient ? output.Length : input.Length, shape, items);
        }

        if (isGradient ? input.Length != pairs * sides.Inner : output.Length != pairs * sides.Outer)
        {
            Throw.WrongOutputLength(
                isGradient ? "dy" : "y", isGradient ? input.Length : output.Length, pairs, isGradient ? sides.Inner : sides.Outer);
        }

        using TensorLease lease = weights.Acquire();
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (float* x = input)
        fixed (float* y = output)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(x, input.Length, isGradient ? "dy" : "x", y, output.Length, isGradient ? "dx" : "y");
            CheckOverlap(weights, nameof(weights), planes, y, output.Length, isGradient ? "dx" : "y");
            if (input.IsEmpty || output.IsEmpty)
            {
                output.Clear();
                return;
            }

            Workspace workspace = context.Rent();
            try
            {
                workspace.Pairs.SetHeads(batches, heads, isShared: shape[1] != heads);
                var source = new RowSource(x, QuantFormat.F32, (int)sides.Inner);
                if (isGradient)
                {
                    workspace.GatherGradient(kind, new WeightStack(weights, planes), source, length, sorted: false, y, cancellation);
                }
                else
                {
                    workspace.Gather(kind, new WeightStack(weights, planes), source, length, sorted: false, y, cancellation);
                }
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    private static void CheckGather(
        QuantizedTensor experts, MatmulContext context, ReadOnlySpan<int> shape, in IndexArray lhs, in IndexArray rhs, GatherSides sides)
    {
        context.ThrowIfDisposed();
        if (lhs.IsMissing && rhs.IsMissing && experts.Shape.Experts != 1)
        {
            Throw.NoIndices(experts);
        }

        if (shape.Length < 2)
        {
            Throw.TooFewDimensions(shape);
        }

        CheckInner(shape, experts, sides);
    }

    private static void CheckInner(ReadOnlySpan<int> shape, QuantizedTensor weights, GatherSides sides)
    {
        if (shape[^1] != sides.Inner)
        {
            Throw.WrongInnerDimension(shape, weights, sides.InnerName, sides.Inner);
        }
    }

    private static void CheckEntries(long length, int entries, int rows, long columns, string name)
    {
        if (length != (long)entries * rows * columns)
        {
            Throw.WrongEntryLength(name, length, entries, rows, columns);
        }
    }

    /// <summary>Which dimension of the weights is summed over, and which one is left.</summary>
    private readonly struct GatherSides(long inner, string innerName, long outer, string outerName)
    {
        public long Inner => inner;

        public string InnerName => innerName;

        public long Outer => outer;

        public GatherSides Swapped => new(outer, outerName, inner, innerName);

        public static GatherSides Of(ProductKind kind, QuantizedTensor experts) => kind == ProductKind.Transposed
            ? new(experts.Shape.Rows, "rows", experts.Shape.Columns, "columns")
            : new(experts.Shape.Columns, "columns", experts.Shape.Rows, "rows");
    }
}
