using System.Buffers;
using System.Globalization;
using System.Numerics;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

public static unsafe partial class QuantizedMatmul
{
    // Scores that a search has in hand: they stay in the second-level cache.
    private const int ScoresInHand = 1 << 16;
    private const int LeastRowsAtOnce = 1024;

    /// <summary>
    /// Scores of some rows, wherever they lie: the dot product of each with a query, with the bits that
    /// <see cref="Multiply(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/> gives a single query.
    /// </summary>
    /// <param name="rows">The vectors, one matrix [N, K].</param>
    /// <param name="ids">Numbers of rows, in any order, more than once if need be.</param>
    /// <param name="query">K values.</param>
    /// <param name="scores">Receives a score for each id.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="activations">What the query is turned into; null for what the context says.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is no row; the message names its place.</exception>
    /// <exception cref="ArgumentException">
    /// Lengths do not fit, spans overlap, the rows are a stack of matrices, or there are more than 2,147,483,647 of them: search parts of them by
    /// <see cref="QuantizedTensor.SliceRows"/>.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The rows or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; scores are undefined.</exception>
    public static void Dot(
        QuantizedTensor rows,
        ReadOnlySpan<long> ids,
        ReadOnlySpan<float> query,
        Span<float> scores,
        MatmulContext context,
        ActivationPrecision? activations = null,
        CancellationToken cancellationToken = default)
    {
        CheckMatrix(rows, context);
        CheckLength(query, 1, rows.Shape.Columns, nameof(query));
        CheckLength(scores, ids.Length, 1, nameof(scores));
        if (rows.Shape.Rows > int.MaxValue)
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"There are {rows.Shape.Rows} rows; at most {int.MaxValue} are searched at once."), nameof(rows));
        }

        for (int i = 0; i < ids.Length; i++)
        {
            if ((ulong)ids[i] >= (ulong)rows.Shape.Rows)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(ids),
                    ids[i],
                    string.Create(CultureInfo.InvariantCulture, $"ids[{i}] is {ids[i]}; there are {rows.Shape.Rows} rows."));
            }
        }

        using TensorLease lease = rows.Acquire();
        fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
        fixed (long* numbers = ids)
        fixed (float* input = query)
        fixed (float* output = scores)
        {
            var planes = new PlanePointers(w, scales, zeros);
            CheckOverlap(input, query.Length, nameof(query), output, scores.Length, nameof(scores));
            CheckOverlap(rows, nameof(rows), planes, output, scores.Length, nameof(scores));
            if (ids.IsEmpty || query.IsEmpty)
            {
                scores.Clear();
                return;
            }

            Workspace workspace = context.Rent(activations);
            try
            {
                workspace.Plan.SetSingle(1, output, 1);
                var source = new RowSource(input, QuantFormat.F32, rows.Shape.Columns);
                workspace.Dot(new WeightStack(rows, planes), source, numbers, ids.Length, output, cancellationToken);
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    /// <summary>
    /// The rows with the highest scores for each query, without a matrix of all scores: the vectors are read once for all queries, some
    /// thousand at a time. Search a part of them by <see cref="QuantizedTensor.SliceRows"/>.
    /// </summary>
    /// <param name="rows">The vectors, one matrix [N, K].</param>
    /// <param name="queries">M queries of K values.</param>
    /// <param name="k">How many rows to find for each query; at least 1.</param>
    /// <param name="ids">
    /// Receives M times k numbers of rows, the best first; of equal scores the lower number is first. -1 where there are fewer rows than k, or
    /// their scores are not numbers.
    /// </param>
    /// <param name="scores">Receives their scores; negative infinity where there is no row.</param>
    /// <param name="context">Threads, memory and options.</param>
    /// <param name="activations">What the queries are turned into; null for what the context says.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is less than 1.</exception>
    /// <exception cref="ArgumentException">Lengths do not fit, or the rows are a stack of matrices.</exception>
    /// <exception cref="ObjectDisposedException">The rows or the context were disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; results are undefined.</exception>
    public static void TopK(
        QuantizedTensor rows,
        ReadOnlySpan<float> queries,
        int k,
        Span<long> ids,
        Span<float> scores,
        MatmulContext context,
        ActivationPrecision? activations = null,
        CancellationToken cancellationToken = default)
    {
        CheckMatrix(rows, context);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        int count = CountRows(queries.Length, rows, "columns", rows.Shape.Columns, nameof(queries));
        CheckLength(scores, count, k, nameof(scores));
        if (ids.Length != scores.Length)
        {
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"ids has room for {ids.Length} rows; scores has {scores.Length} values."), nameof(ids));
        }

        ids.Fill(-1);
        scores.Fill(float.NegativeInfinity);
        if (count == 0 || rows.Shape.Rows == 0)
        {
            return;
        }

        int atOnce = (int)Math.Min(rows.Shape.Rows, Math.Max(LeastRowsAtOnce, ScoresInHand / count));
        float[] part = ArrayPool<float>.Shared.Rent(checked(count * atOnce));
        using TensorLease lease = rows.Acquire();
        try
        {
            fixed (byte* w = &lease.Codes, scales = &lease.Scales, zeros = &lease.Biases)
            fixed (float* input = queries, output = part)
            {
                var planes = new PlanePointers(w, scales, zeros);
                var source = new RowSource(input, QuantFormat.F32, rows.Shape.Columns);
                for (long first = 0; first < rows.Shape.Rows; first += atOnce)
                {
                    int length = (int)Math.Min(atOnce, rows.Shape.Rows - first);
                    PlanePointers from = planes.Add(
                        (nint)(first * rows.GetRowByteCount(0)),
                        (nint)(first * rows.GetRowByteCount(1)),
                        (nint)(first * rows.GetRowByteCount(2)));
                    Workspace workspace = context.Rent(activations);
                    try
                    {
                        workspace.Plan.SetSingle(count, output, length);
                        workspace.Run(ProductKind.Forward, new WeightStack(rows, from, rows: length), source, cancellationToken);
                    }
                    finally
                    {
                        context.Return(workspace);
                    }

                    for (int q = 0; q < count; q++)
                    {
                        KeepBest(part.AsSpan(q * length, length), first, ids.Slice(q * k, k), scores.Slice(q * k, k));
                    }
                }
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(part);
        }
    }

    /// <summary>Puts rows that are better than the last one found in their places; rows come in ascending order.</summary>
    private static void KeepBest(ReadOnlySpan<float> found, long first, Span<long> ids, Span<float> scores)
    {
        for (int i = NextAbove(found, 0, scores[^1]); i < found.Length; i = NextAbove(found, i + 1, scores[^1]))
        {
            float score = found[i];
            int low = 0, high = scores.Length - 1;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (scores[middle] >= score)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            scores[low..^1].CopyTo(scores[(low + 1)..]);
            ids[low..^1].CopyTo(ids[(low + 1)..]);
            scores[low] = score;
            ids[low] = first + i;
        }
    }

    /// <summary>
    /// The first place from <paramref name="from"/> on whose value is above a limit, or the length. What is no number is above nothing; an equal
    /// value is not, so that of equal scores the one that was there first stays.
    /// </summary>
    private static int NextAbove(ReadOnlySpan<float> values, int from, float limit)
    {
        // Nearly every score of a long search is passed over: this is all that happens to it.
        for (; from <= values.Length - Vector256<float>.Count; from += Vector256<float>.Count)
        {
            uint above = Vector256.GreaterThan(Vector256.Create(values[from..]), Vector256.Create(limit)).ExtractMostSignificantBits();
            if (above != 0)
            {
                return from + BitOperations.TrailingZeroCount(above);
            }
        }

        while (from < values.Length && !(values[from] > limit))
        {
            from++;
        }

        return from;
    }
}
