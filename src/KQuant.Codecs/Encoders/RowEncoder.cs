using System.Numerics.Tensors;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// Encodes single rows of a tensor: checks the weights before, and after that what the block struct left to its caller, the scales. Holds
/// pointers, so that threads can share it; its creator keeps the memory pinned.
/// </summary>
internal readonly unsafe struct RowEncoder<TBlock> : IRowJob
    where TBlock : unmanaged, IQuantBlock<TBlock>
{
    // Products of up to three weights and an importance, summed over a super-block, occur in the fits; from here on they may overflow.
    private const double SafeCube = 1e28;

    private readonly QuantCodec _codec;
    private readonly float* _source;
    private readonly TBlock* _destination;
    private readonly float* _importance;
    private readonly int _rowLength;
    private readonly int _importanceLength;
    private readonly float _maxImportance;
    private readonly long _firstRow;
    private readonly EncodeMode _mode;
    private readonly ScaleOverflow _overflow;

    public RowEncoder(QuantCodec codec, float* source, TBlock* destination, float* importance, int rowLength, in EncodeOptions options)
    {
        _codec = codec;
        _source = source;
        _destination = destination;
        _importance = importance;
        _rowLength = rowLength;
        _importanceLength = options.Importance.Length;
        _maxImportance = options.Importance.IsEmpty ? 1 : TensorPrimitives.Max(options.Importance);
        _firstRow = options.FirstRow;
        _mode = options.Mode;
        _overflow = options.Overflow;
    }

    private ReadOnlySpan<float> Importance => new(_importance, _importanceLength);

    /// <summary>Encodes one row.</summary>
    /// <exception cref="InvalidWeightException">A weight is not finite, or a block cannot express its weights.</exception>
    public void Run(int row)
    {
        var weights = new ReadOnlySpan<float>(_source + ((nint)row * _rowLength), _rowLength);
        float largest = MathF.Abs(TensorPrimitives.MaxMagnitude(weights));
        if (!float.IsFinite(largest))
        {
            Throw.WeightNotFinite(_codec, _firstRow + row, weights);
        }

        if (largest > TBlock.MaxWeight && _overflow == ScaleOverflow.Error)
        {
            Throw.WeightTooLarge(_codec, _firstRow + row, weights);
        }

        int blocks = _rowLength / TBlock.WeightsPerBlock;
        var encoded = new Span<TBlock>(_destination + ((nint)row * blocks), blocks);
        TBlock.Encode(weights, encoded, new EncodeOptions { Importance = Importance, Mode = _mode });
        if (_overflow == ScaleOverflow.Error)
        {
            CheckScales(row, weights, largest, encoded);
        }
    }

    private void CheckScales(int row, ReadOnlySpan<float> weights, float largest, ReadOnlySpan<TBlock> encoded)
    {
        // Below this, a pass-through format cannot overflow, and looking at each of its one-weight blocks would take longer than writing
        // them.
        if (TBlock.WeightsPerBlock == 1 && largest < (float)Half.MaxValue)
        {
            return;
        }

        bool fitMayOverflow = MayOverflow(largest);
        for (int b = 0; b < encoded.Length; b++)
        {
            if (!encoded[b].IsFinite || (fitMayOverflow && IsLost(b, weights, encoded[b])))
            {
                // A sum over the whole row that overflowed spoils every block; the largest weight is to blame, wherever it is.
                // With importance of 1 these weights would have been no trouble.
                if ((double)largest * largest * largest <= SafeCube && largest < (float)Half.MaxValue)
                {
                    Throw.HugeImportance(_codec, _firstRow + row, Importance);
                }

                int culprit = fitMayOverflow ? TensorPrimitives.IndexOfMaxMagnitude(weights) / TBlock.WeightsPerBlock : b;
                int column = culprit * TBlock.WeightsPerBlock;
                Throw.ScaleOverflow(_codec, _firstRow + row, column, weights.Slice(column, TBlock.WeightsPerBlock));
            }
        }
    }

    private bool MayOverflow(float largest) => (double)largest * largest * largest * Math.Max(1, _maxImportance) > SafeCube;

    /// <summary>
    /// Whether sums that overflowed float32 made an encoder store zeros or garbage for a block of huge weights, with scales that look
    /// sound: half of the (weighted) energy is gone, which no working fit loses.
    /// </summary>
    private bool IsLost(int block, ReadOnlySpan<float> row, in TBlock encoded)
    {
        int first = block * TBlock.WeightsPerBlock;
        ReadOnlySpan<float> weights = row.Slice(first, TBlock.WeightsPerBlock);
        if (TBlock.WeightsPerBlock == 1 || !MayOverflow(MathF.Abs(TensorPrimitives.MaxMagnitude(weights))))
        {
            return false;
        }

        Span<float> decoded = stackalloc float[TBlock.WeightsPerBlock];
        TBlock.Decode(new ReadOnlySpan<TBlock>(in encoded), decoded);
        double energy = 0, error = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            double importance = Importance.IsEmpty ? 1 : Importance[first + i];
            double difference = (double)weights[i] - decoded[i];
            energy += importance * weights[i] * weights[i];
            error += importance * difference * difference;
        }

        return energy > 0 && !(error < 0.5 * energy);
    }
}
