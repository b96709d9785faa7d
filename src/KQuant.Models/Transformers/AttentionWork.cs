using System.Numerics.Tensors;
using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// Softmax attention of the rows of a batch over the caches of their texts. A piece is one key and value head and a few tokens: all query
/// heads of these tokens that share the head go through its keys together, part by part (<see cref="SoftmaxParts"/>). When that makes too
/// few pieces for the threads, each part is a piece of its own; the bits are the same.
/// </summary>
internal sealed unsafe class AttentionWork : IParallelWork, IDisposable
{
    /// <summary>Rows of queries in a piece: keys and values that are widened once serve all of them.</summary>
    private const int QueryRows = 64;

    /// <summary>Pieces for each thread that make splitting needless.</summary>
    private const int PiecesPerThread = 4;

    private readonly ModelConfig _config;
    private readonly AttentionKernel _kernel;
    private readonly int _group;
    private readonly int _stride;
    private readonly List<Piece> _pieces = [];
    private readonly NativeBuffer<float> _parts = new();
    private int _layer;
    private int _scratch;
    private int _rows;
    private bool _isSplit;
    private float* _queries;
    private float[]? _sinks;
    private float* _outputs;

    public AttentionWork(ModelConfig config, AttentionKernel kernel)
    {
        _config = config;
        _kernel = kernel;
        _group = config.HeadCount / config.KeyValueHeadCount;
        _stride = RoundUp(config.HeadSize);
    }

    /// <summary>Attends.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="step">The step; its keys and values are in the caches already.</param>
    /// <param name="queries">[rows][heads][size].</param>
    /// <param name="sinks">A score for each query head that takes part in the softmax and has no value; or null.</param>
    /// <param name="outputs">As many results.</param>
    public void Run(int layer, StepContext step, float* queries, float[]? sinks, float* outputs)
    {
        (_layer, _scratch) = (layer, 0);
        _queries = queries;
        _sinks = sinks;
        _outputs = outputs;
        _pieces.Clear();
        long products = 0;
        int tokensPerPiece = Math.Max(1, QueryRows / _group), mostTokens = 0, parts = 0;
        foreach (SequenceChunk sequence in step.Chunks)
        {
            LayerCache cache = sequence.Cache.GetState<LayerCache>(layer);
            int total = sequence.Cache.Length + sequence.Count;
            _scratch = Math.Max(_scratch, Math.Max(cache.Keys.ScratchLength, cache.Values.ScratchLength));
            products += (long)sequence.Count * cache.Slots.CountSlots(total) * _config.HeadCount * _config.HeadSize;
            mostTokens = Math.Max(mostTokens, Math.Min(tokensPerPiece, sequence.Count));

            // Late tokens see the most: they come first, so that the last pieces to run are short ones.
            for (int end = sequence.Count; end > 0; end -= tokensPerPiece)
            {
                int start = Math.Max(0, end - tokensPerPiece);
                var range = SlotRange.For(cache.Slots, sequence.Cache.Length + start, end - start, total);
                for (int head = 0; head < _config.KeyValueHeadCount; head++)
                {
                    _pieces.Add(new Piece(sequence, head, start, end - start, range, range));
                }

                parts = Math.Max(parts, SoftmaxParts.Count(range.Start, range.End));
            }
        }

        _rows = AttentionKernel.Pad(mostTokens * _group);
        _isSplit = parts > 1 && _pieces.Count < PiecesPerThread * step.Matmul.Threads;
        if (_isSplit)
        {
            Split();
        }

        step.Matmul.Run(this, _pieces.Count, Scratch.Count(_config.HeadSize, _stride, _rows, _scratch), products > 200_000, step.Cancellation);
        if (_isSplit)
        {
            Merge();
        }
    }

    public void RunPiece(int piece, Span<float> scratch)
    {
        Piece work = _pieces[piece];
        LayerCache cache = work.Sequence.Cache.GetState<LayerCache>(_layer);
        int rows = work.Count * _group, paddedRows = AttentionKernel.Pad(rows);
        fixed (float* memory = scratch)
        {
            var areas = new Scratch(memory, _config.HeadSize, _stride, _rows, _scratch);
            GatherQueries(work, rows, paddedRows, areas.Queries);
            cache.Keys.PrepareQueries(areas.Queries, rows);
            if (_isSplit)
            {
                Attend(cache, work, work.Part, rows, paddedRows, areas, GetResult(piece));
                return;
            }

            for (int start = work.Part.Start; start < work.Part.End;)
            {
                bool isFirst = start == work.Part.Start;
                var part = new SlotRange(start, SoftmaxParts.GetEnd(start, work.Part.End));
                Attend(cache, work, part, rows, paddedRows, areas, isFirst ? areas.All : areas.Part);
                if (!isFirst)
                {
                    Merge(areas.All, areas.Part, rows);
                }

                start = part.End;
            }

            Finish(cache, work, areas.All);
        }
    }

    public void Dispose() => _parts.Dispose();

    private static int RoundUp(int count) => (count + CacheStore.BlockSize - 1) / CacheStore.BlockSize * CacheStore.BlockSize;

    /// <summary>A piece for each part, those of a piece behind each other.</summary>
    private void Split()
    {
        int whole = _pieces.Count;
        for (int i = 0; i < whole; i++)
        {
            Piece piece = _pieces[i];
            for (int start = piece.Range.Start; start < piece.Range.End;)
            {
                int end = SoftmaxParts.GetEnd(start, piece.Range.End);
                _pieces.Add(piece with { Part = new SlotRange(start, end) });
                start = end;
            }
        }

        _pieces.RemoveRange(0, whole);
        _parts.Reserve(_pieces.Count * (long)PartResult.Count(_stride, _rows));
    }

    /// <summary>Merges the parts of split pieces, from the first to the last.</summary>
    private void Merge()
    {
        for (int i = 0; i < _pieces.Count;)
        {
            Piece first = _pieces[i];
            PartResult all = GetResult(i);
            for (i++; i < _pieces.Count && _pieces[i].Part.Start > _pieces[i].Range.Start; i++)
            {
                Merge(all, GetResult(i), first.Count * _group);
            }

            Finish(first.Sequence.Cache.GetState<LayerCache>(_layer), first, all);
        }
    }

    private PartResult GetResult(int piece) => new(_parts.Pointer + ((nint)piece * PartResult.Count(_stride, _rows)), _stride, _rows);

    private void Merge(PartResult all, PartResult part, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            SoftmaxParts.Merge(
                ref all.Largest[row], ref all.Sums[row], new Span<float>(all.Outputs + ((nint)row * _stride), _stride), part.Largest[row],
                part.Sums[row], new ReadOnlySpan<float>(part.Outputs + ((nint)row * _stride), _stride));
        }
    }

    private float* Row(float* rows, Piece work, int row) => rows
        + ((((long)work.Sequence.FirstRow + work.Start + (row / _group)) * _config.HeadCount) + (work.Head * _group) + (row % _group))
        * _config.HeadSize;

    private void GatherQueries(Piece work, int rows, int paddedRows, float* target)
    {
        int size = _config.HeadSize;
        for (int row = 0; row < rows; row++)
        {
            RowMath.Multiply(
                new ReadOnlySpan<float>(Row(_queries, work, row), size), _config.AttentionScale, new Span<float>(target + ((long)row * size), size));
        }

        new Span<float>(target + ((long)rows * size), (paddedRows - rows) * size).Clear();
    }

    /// <summary>Attends to some slots.</summary>
    private void Attend(LayerCache cache, Piece work, SlotRange part, int rows, int paddedRows, Scratch areas, PartResult result)
    {
        cache.Keys.Score(_kernel, work.Head, part, areas.Queries, paddedRows, areas.Scores, SoftmaxParts.Length, areas.Work);
        for (int row = 0; row < paddedRows; row++)
        {
            var scores = new Span<float>(areas.Scores + ((nint)row * SoftmaxParts.Length), part.End - part.Start);
            if (row >= rows)
            {
                scores.Clear();
                continue;
            }

            if (_config.AttentionSoftCap > 0)
            {
                TensorPrimitives.Divide(scores, _config.AttentionSoftCap, scores);
                TensorPrimitives.Tanh(scores, scores);
                TensorPrimitives.Multiply(scores, _config.AttentionSoftCap, scores);
            }

            work.Range.Mask(cache.Slots, work.Sequence.Cache.Length + work.Start + (row / _group), part, scores);
            result.Sums[row] = RowMath.Exponentiate(scores, out result.Largest[row]);
        }

        cache.Values.Accumulate(_kernel, work.Head, part, areas.Scores, paddedRows, SoftmaxParts.Length, result.Outputs, areas.Work);
    }

    private void Finish(LayerCache cache, Piece work, PartResult result)
    {
        int size = _config.HeadSize, rows = work.Count * _group;
        cache.Values.FinishOutputs(result.Outputs, rows);
        for (int row = 0; row < rows; row++)
        {
            // A sink far above all scores makes this infinite and the output zero, as it should be.
            float divisor = result.Sums[row];
            if (_sinks is not null)
            {
                divisor += MathF.Exp(_sinks[(work.Head * _group) + (row % _group)] - result.Largest[row]);
            }

            RowMath.Divide(
                new ReadOnlySpan<float>(result.Outputs + ((nint)row * _stride), size), divisor, new Span<float>(Row(_outputs, work, row), size));
        }
    }

    /// <summary>What one call of <see cref="RunPiece"/> does.</summary>
    /// <param name="Sequence">The text.</param>
    /// <param name="Head">Key and value head.</param>
    /// <param name="Start">First token, from that of the chunk on.</param>
    /// <param name="Count">Tokens.</param>
    /// <param name="Range">Slots that the tokens see.</param>
    /// <param name="Part">Those of them that this piece attends to.</param>
    private readonly record struct Piece(SequenceChunk Sequence, int Head, int Start, int Count, SlotRange Range, SlotRange Part);

    /// <summary>What a part gives: for each row the largest score, the sum of exponentials, and the weighted sums of values.</summary>
    private readonly struct PartResult(float* memory, int stride, int rows)
    {
        public float* Outputs => memory;

        public float* Largest => memory + ((nint)rows * stride);

        public float* Sums => Largest + RoundUp(rows);

        public static int Count(int stride, int rows) => checked((rows * stride) + (2 * RoundUp(rows)));
    }

    /// <summary>Memory of a piece.</summary>
    private readonly struct Scratch
    {
        public readonly float* Queries;
        public readonly PartResult All;
        public readonly PartResult Part;
        public readonly float* Work;
        public readonly float* Scores;

        public Scratch(float* memory, int size, int stride, int rows, int work)
        {
            Queries = memory;
            float* results = Queries + RoundUp(rows * size);
            All = new PartResult(results, stride, rows);
            Part = new PartResult(results + PartResult.Count(stride, rows), stride, rows);
            Work = results + (2 * PartResult.Count(stride, rows));
            Scores = Work + RoundUp(work);
        }

        public static int Count(int size, int stride, int rows, int work) => checked(
            RoundUp(rows * size) + (2 * PartResult.Count(stride, rows)) + RoundUp(work) + (rows * SoftmaxParts.Length));
    }
}
