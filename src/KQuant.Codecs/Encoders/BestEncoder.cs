using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// <see cref="EncodeMode.Best"/>: starts from what ggml's encoders give, searches further, and keeps the better block. Which is better is
/// measured on the decoded weights, so the result is never worse than the start, whatever a search does.
/// </summary>
internal static unsafe class BestEncoder
{
    // Importance is scaled to at most 1; this much is added so that weights without importance still break ties.
    private const float LeastWeight = 1e-6f;

    /// <summary>Encodes rows.</summary>
    /// <param name="kernel">Writes ggml's bytes, the start.</param>
    /// <param name="task">The rows.</param>
    public static void Encode<TBlock>(EncodeKernel kernel, in EncodeTask task)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        int size = TBlock.WeightsPerBlock, perRow = task.RowLength / size, blocks = perRow * task.Rows;
        float[] weightBuffer = ArrayPool<float>.Shared.Rent(task.RowLength);
        TBlock[] otherBuffer = ArrayPool<TBlock>.Shared.Rent(blocks);
        Span<float> weights = weightBuffer.AsSpan(0, task.RowLength);
        bool weighted = task.Importance is not null;
        ReadOnlySpan<float> importance = weights;
        kernel.Run(task);
        if (weighted)
        {
            importance = new ReadOnlySpan<float>(task.Importance, task.RowLength);
            Normalize(importance, weights);
        }
        else
        {
            // Without importance, ggml's weighted search fed with ones beats its plain encoder on nearly every block.
            weights.Fill(1);
            fixed (float* ones = weights)
            fixed (TBlock* others = otherBuffer)
            {
                kernel.Run(new EncodeTask(task.Weights, (byte*)others, ones, task.RowLength, task.Rows));
            }
        }

        for (int b = 0; b < blocks; b++)
        {
            int column = b % perRow * size;
            var search = new Search<TBlock>(
                kernel.Codec,
                new ReadOnlySpan<float>(task.Weights + ((nint)b * size), size),
                weights.Slice(column, size),
                importance.Slice(column, size),
                ref ((TBlock*)task.Blocks)[b]);
            if (!weighted)
            {
                search.KeepBetter(otherBuffer[b]);
            }

            search.Refine();
        }

        ArrayPool<TBlock>.Shared.Return(otherBuffer);
        ArrayPool<float>.Shared.Return(weightBuffer);
    }

    private static void Normalize(ReadOnlySpan<float> importance, Span<float> weights)
    {
        float max = TensorPrimitives.Max(importance);
        if (max == 0)
        {
            weights.Fill(1);
            return;
        }

        TensorPrimitives.Divide(importance, max, weights);
        TensorPrimitives.Add(weights, LeastWeight, weights);
    }

    /// <summary>One block on its way: the best so far, and its error.</summary>
    private ref struct Search<TBlock>
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        private readonly QuantCodec _codec;
        private readonly ReadOnlySpan<float> _x;
        private readonly ReadOnlySpan<float> _weights;
        private readonly ReadOnlySpan<float> _importance;
        private readonly ref TBlock _block;
        private double _error;
        private double _tieBreak;

        public Search(
            QuantCodec codec, ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, ref TBlock block)
        {
            _codec = codec;
            _x = x;
            _weights = weights;
            _importance = importance;
            _block = ref block;
            (_error, _tieBreak) = Measure(block);
        }

        public void KeepBetter(in TBlock candidate)
        {
            if (!candidate.IsFinite)
            {
                return;
            }

            (double error, double tieBreak) = Measure(candidate);
            if (error <= _error && tieBreak < _tieBreak)
            {
                _block = candidate;
                (_error, _tieBreak) = (error, tieBreak);
            }
        }

        public void Refine()
        {
            if (_block.IsFinite)
            {
                KeepBetter(TBlock.Refine(_x, _weights, _block));
            }
        }

        private readonly (double Error, double TieBreak) Measure(in TBlock block)
        {
            Span<float> decoded = stackalloc float[TBlock.WeightsPerBlock];
            _codec.Decode(MemoryMarshal.AsBytes(new ReadOnlySpan<TBlock>(in block)), decoded);
            double error = 0, tieBreak = 0;
            for (int i = 0; i < _x.Length; i++)
            {
                double difference = (double)_x[i] - decoded[i];
                error += _importance[i] * difference * difference;
                tieBreak += _weights[i] * difference * difference;
            }

            return (error, tieBreak);
        }
    }
}
