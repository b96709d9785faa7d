using KQuant.Matmul.Vectors;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models;

/// <summary>
/// Keys and values of one layer of attention without a model: what is appended is stored as its formats say, and queries attend to all of it.
/// Made by a <see cref="KeyValueCacheBuilder"/>. Used by one call at a time.
/// </summary>
public sealed unsafe class AttentionCache : IDisposable
{
    private readonly LayerCache _cache;
    private readonly float _scale;
    private readonly int _capacity;
    private float[] _scratch = [];
    private bool _isDisposed;

    internal AttentionCache(LayerCache cache, int capacity)
    {
        (_cache, _capacity) = (cache, capacity);
        _scale = 1 / MathF.Sqrt(HeadSize);
    }

    /// <summary>Key and value heads.</summary>
    public int Heads => _cache.Keys.Heads;

    /// <summary>Values of a head.</summary>
    public int HeadSize => _cache.Keys.HeadSize;

    /// <summary>Tokens that were appended.</summary>
    public int Length { get; private set; }

    /// <summary>Bytes held.</summary>
    public long ByteCount => _cache.ByteCount;

    /// <summary>Bytes that so many tokens need; less than <see cref="ByteCount"/> where there is room for more.</summary>
    /// <param name="tokens">Tokens.</param>
    /// <returns>The bytes.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public long GetByteCount(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        return _cache.GetByteCount(tokens);
    }

    /// <summary>Appends a token.</summary>
    /// <param name="keys">Its keys, [<see cref="Heads"/>][<see cref="HeadSize"/>], finite.</param>
    /// <param name="values">Its values, as many.</param>
    /// <exception cref="ArgumentException">A length is another one, or a number is not finite.</exception>
    /// <exception cref="InvalidOperationException">The capacity is reached.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public void Append(ReadOnlySpan<float> keys, ReadOnlySpan<float> values)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Check(keys, nameof(keys));
        Check(values, nameof(values));
        if (Length == _capacity)
        {
            throw new InvalidOperationException($"The cache holds {Length} tokens, which is its capacity.");
        }

        _cache.Prepare(Length, 1, _capacity);
        int slot = _cache.Slots.GetSlot(Length);

        // Stores may change what they are given.
        fixed (float* row = Reserve(HeadSize))
        {
            for (int head = 0; head < Heads; head++)
            {
                keys.Slice(head * HeadSize, HeadSize).CopyTo(new Span<float>(row, HeadSize));
                _cache.Keys.Store(head, slot, row);
                values.Slice(head * HeadSize, HeadSize).CopyTo(new Span<float>(row, HeadSize));
                _cache.Values.Store(head, slot, row);
            }
        }

        Length++;
        _cache.Advance(Length);
    }

    /// <summary>Softmax attention of one token over everything that the cache shows; zeros where there is nothing.</summary>
    /// <param name="queries">
    /// [query heads][<see cref="HeadSize"/>], finite; query heads are a multiple of <see cref="Heads"/>, and those of a key head follow each other.
    /// Scores are products over the root of the size of a head.
    /// </param>
    /// <param name="outputs">As many results.</param>
    /// <exception cref="ArgumentException">A length is another one, or a number is not finite.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public void Attend(ReadOnlySpan<float> queries, Span<float> outputs)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        int group = queries.Length / (Heads * HeadSize);
        if (group == 0 || queries.Length % (Heads * HeadSize) != 0)
        {
            throw new ArgumentException($"There are {queries.Length} query values; whole groups of {Heads} heads of {HeadSize} were expected.", nameof(queries));
        }

        CheckFinite(queries, nameof(queries));
        if (outputs.Length != queries.Length)
        {
            throw new ArgumentException($"There is room for {outputs.Length} results; there are {queries.Length}.", nameof(outputs));
        }

        outputs.Clear();
        if (Length == 0)
        {
            return;
        }

        int rows = AttentionKernel.Pad(group);
        fixed (float* memory = Reserve(Areas.Count(_cache, rows)))
        {
            var areas = new Areas(memory, _cache, rows);
            for (int head = 0; head < Heads; head++)
            {
                AttendHead(head, group, areas, queries.Slice(head * group * HeadSize, group * HeadSize), outputs.Slice(head * group * HeadSize, group * HeadSize));
            }
        }
    }

    /// <summary>Forgets everything; the memory stays.</summary>
    public void Clear()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        _cache.Truncate(0);
        Length = 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _cache.Dispose();
    }

    private void AttendHead(int head, int group, Areas areas, ReadOnlySpan<float> queries, Span<float> outputs)
    {
        new Span<float>(areas.Queries, areas.Rows * HeadSize).Clear();
        RowMath.Multiply(queries, _scale, new Span<float>(areas.Queries, queries.Length));
        _cache.Keys.PrepareQueries(areas.Queries, group);
        int stride = _cache.Values.Stride;
        var range = SlotRange.For(_cache.Slots, Length - 1, 1, Length);
        for (int start = range.Start; start < range.End;)
        {
            var part = new SlotRange(start, SoftmaxParts.GetEnd(start, range.End));
            AttendPart(head, range, part, areas);
            for (int row = 0; row < group && start > range.Start; row++)
            {
                SoftmaxParts.Merge(
                    ref areas.Largest[row], ref areas.Sums[row], new Span<float>(areas.All + (row * stride), stride), areas.PartLargest[row],
                    areas.PartSums[row], new ReadOnlySpan<float>(areas.Part + (row * stride), stride));
            }

            start = part.End;
        }

        _cache.Values.FinishOutputs(areas.All, group);
        for (int row = 0; row < group; row++)
        {
            RowMath.Divide(new ReadOnlySpan<float>(areas.All + (row * stride), HeadSize), areas.Sums[row], outputs.Slice(row * HeadSize, HeadSize));
        }
    }

    /// <summary>Attends to some slots: the first of them directly into the results.</summary>
    private void AttendPart(int head, SlotRange range, SlotRange part, Areas areas)
    {
        bool isFirst = part.Start == range.Start;
        float* largest = isFirst ? areas.Largest : areas.PartLargest;
        float* sums = isFirst ? areas.Sums : areas.PartSums;
        _cache.Keys.Score(AttentionKernel.Best, head, part, areas.Queries, areas.Rows, areas.Scores, SoftmaxParts.Length, areas.Work);
        for (int row = 0; row < areas.Rows; row++)
        {
            var scores = new Span<float>(areas.Scores + (row * SoftmaxParts.Length), part.End - part.Start);
            range.Mask(_cache.Slots, Length - 1, part, scores);
            sums[row] = RowMath.Exponentiate(scores, out largest[row]);
        }

        _cache.Values.Accumulate(
            AttentionKernel.Best, head, part, areas.Scores, areas.Rows, SoftmaxParts.Length, isFirst ? areas.All : areas.Part, areas.Work);
    }

    private void Check(ReadOnlySpan<float> numbers, string parameter)
    {
        if (numbers.Length != Heads * HeadSize)
        {
            throw new ArgumentException($"There are {numbers.Length} numbers; {Heads} heads of {HeadSize} were expected.", parameter);
        }

        CheckFinite(numbers, parameter);
    }

    private static void CheckFinite(ReadOnlySpan<float> numbers, string parameter)
    {
        for (int i = 0; i < numbers.Length; i++)
        {
            if (!float.IsFinite(numbers[i]))
            {
                throw new ArgumentException($"Number {i} is {numbers[i]}.", parameter);
            }
        }
    }

    private float[] Reserve(int count)
    {
        if (_scratch.Length < count)
        {
            _scratch = GC.AllocateUninitializedArray<float>(count, pinned: true);
        }

        return _scratch;
    }

    /// <summary>Memory of a head.</summary>
    private readonly struct Areas
    {
        public readonly int Rows;
        public readonly float* Queries;
        public readonly float* All;
        public readonly float* Part;
        public readonly float* Largest;
        public readonly float* Sums;
        public readonly float* PartLargest;
        public readonly float* PartSums;
        public readonly float* Scores;
        public readonly float* Work;

        public Areas(float* memory, LayerCache cache, int rows)
        {
            Rows = rows;
            Queries = memory;
            All = Queries + (rows * cache.Keys.HeadSize);
            Part = All + (rows * cache.Values.Stride);
            Largest = Part + (rows * cache.Values.Stride);
            Sums = Largest + rows;
            PartLargest = Sums + rows;
            PartSums = PartLargest + rows;
            Scores = PartSums + rows;
            Work = Scores + (rows * SoftmaxParts.Length);
        }

        public static int Count(LayerCache cache, int rows) => checked(
            (rows * (cache.Keys.HeadSize + (2 * cache.Values.Stride) + 4 + SoftmaxParts.Length)) + Math.Max(cache.Keys.ScratchLength, cache.Values.ScratchLength));
    }
}
