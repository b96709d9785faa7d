using System.Numerics.Tensors;
using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Transformers;

/// <summary>
/// Softmax attention of the rows of a batch over the caches of their texts. A piece is one key and value head and a few tokens: all query
/// heads of these tokens that share the head go through its keys together.
/// </summary>
internal sealed unsafe class AttentionWork : IParallelWork
{
    /// <summary>Rows of queries in a piece, which bounds its scratch memory.</summary>
    private const int QueryRows = 32;

    private readonly ModelConfig _config;
    private readonly AttentionKernel _kernel;
    private readonly int _group;
    private readonly int _tokensPerPiece;
    private readonly List<Piece> _pieces = [];
    private int _layer;
    private int _scratch;
    private float* _queries;
    private float* _outputs;

    public AttentionWork(ModelConfig config, AttentionKernel kernel)
    {
        _config = config;
        _kernel = kernel;
        _group = config.HeadCount / config.KeyValueHeadCount;
        _tokensPerPiece = Math.Max(1, QueryRows / _group);
    }

    /// <summary>Attends.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="step">The step; its keys and values are in the caches already.</param>
    /// <param name="queries">[rows][heads][size].</param>
    /// <param name="outputs">As many results.</param>
    public void Run(int layer, StepContext step, float* queries, float* outputs)
    {
        _layer = layer;
        _queries = queries;
        _outputs = outputs;
        _pieces.Clear();
        _scratch = 0;
        int slots = 0;
        long products = 0;
        foreach (SequenceChunk sequence in step.Chunks)
        {
            LayerCache cache = sequence.Cache.GetState<LayerCache>(layer);
            slots = Math.Max(slots, cache.Slots.CountSlots(sequence.Cache.Length + sequence.Count));
            _scratch = Math.Max(_scratch, Math.Max(cache.Keys.ScratchLength, cache.Values.ScratchLength));
            products += (long)sequence.Count * slots * _config.HeadCount * _config.HeadSize;

            // Late tokens see the most: they come first, so that the last pieces to run are short ones.
            for (int end = sequence.Count; end > 0; end -= _tokensPerPiece)
            {
                int start = Math.Max(0, end - _tokensPerPiece);
                for (int head = 0; head < _config.KeyValueHeadCount; head++)
                {
                    _pieces.Add(new Piece(sequence, head, start, end - start));
                }
            }
        }

        int rows = AttentionKernel.Pad(_tokensPerPiece * _group);
        step.Matmul.Run(this, _pieces.Count, Scratch.Count(_config.HeadSize, rows, _scratch, slots), products > 200_000, step.Cancellation);
    }

    public void RunPiece(int piece, Span<float> scratch)
    {
        Piece work = _pieces[piece];
        LayerCache cache = work.Sequence.Cache.GetState<LayerCache>(_layer);
        int total = work.Sequence.Cache.Length + work.Sequence.Count;
        int rows = work.Count * _group;
        int paddedRows = AttentionKernel.Pad(rows);
        fixed (float* memory = scratch)
        {
            var areas = new Scratch(memory, _config.HeadSize, paddedRows, _scratch, cache.Slots.CountSlots(total));
            GatherQueries(work, rows, paddedRows, areas.Queries);
            cache.Keys.PrepareQueries(areas.Queries, rows);
            var range = SlotRange.For(cache.Slots, work.Sequence.Cache.Length + work.Start, work.Count, total);
            cache.Keys.Score(_kernel, work.Head, range, areas.Queries, paddedRows, areas.Scores, areas.ScoreStride, areas.Work);
            Weigh(cache.Slots, work, range, rows, paddedRows, areas);
            cache.Values.Accumulate(_kernel, work.Head, range, areas.Scores, paddedRows, areas.ScoreStride, areas.Outputs, areas.Work);
            cache.Values.FinishOutputs(areas.Outputs, rows);
            Scatter(work, rows, cache.Values.Stride, areas);
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
            TensorPrimitives.Multiply(
                new ReadOnlySpan<float>(Row(_queries, work, row), size), _config.AttentionScale, new Span<float>(target + ((long)row * size), size));
        }

        new Span<float>(target + ((long)rows * size), (paddedRows - rows) * size).Clear();
    }

    /// <summary>From scores to weights that are not yet divided by their sum, which goes into <see cref="Scratch.Sums"/>.</summary>
    private void Weigh(SlotMap slots, Piece work, SlotRange range, int rows, int paddedRows, Scratch areas)
    {
        int length = range.End - range.Start;
        for (int row = 0; row < paddedRows; row++)
        {
            var scores = new Span<float>(areas.Scores + (row * areas.ScoreStride) + range.Start, length);
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

            range.Mask(slots, work.Sequence.Cache.Length + work.Start + (row / _group), scores);
            areas.Sums[row] = RowMath.Exponentiate(scores);
        }
    }

    private void Scatter(Piece work, int rows, int stride, Scratch areas)
    {
        int size = _config.HeadSize;
        for (int row = 0; row < rows; row++)
        {
            TensorPrimitives.Divide(
                new ReadOnlySpan<float>(areas.Outputs + ((long)row * stride), size),
                areas.Sums[row],
                new Span<float>(Row(_outputs, work, row), size));
        }
    }

    private readonly record struct Piece(SequenceChunk Sequence, int Head, int Start, int Count);

    /// <summary>Memory of a piece.</summary>
    private readonly struct Scratch
    {
        public readonly float* Queries;
        public readonly float* Outputs;
        public readonly float* Sums;
        public readonly float* Work;
        public readonly float* Scores;
        public readonly nint ScoreStride;

        public Scratch(float* memory, int size, int rows, int work, int slots)
        {
            int stride = RoundUp(size);
            Queries = memory;
            Outputs = Queries + ((long)rows * stride);
            Sums = Outputs + ((long)rows * stride);
            Work = Sums + RoundUp(rows);
            Scores = Work + RoundUp(work);
            ScoreStride = RoundUp(slots);
        }

        public static int Count(int size, int rows, int work, int slots)
        {
            int stride = RoundUp(size);
            return checked((2 * rows * stride) + RoundUp(rows) + RoundUp(work) + (rows * RoundUp(slots)));
        }

        private static int RoundUp(int count) => (count + CacheStore.BlockSize - 1) / CacheStore.BlockSize * CacheStore.BlockSize;
    }
}
