using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// Encodes rows of a tensor: checks the weights before, and after that what the block struct left to its caller, the scales. Holds
/// pointers, so that threads can share it; its creator keeps the memory pinned.
/// </summary>
internal readonly unsafe struct RowEncoder<TBlock> : IRowJob
    where TBlock : unmanaged, IQuantBlock<TBlock>
{
    // Products of up to three weights and an importance, summed over a super-block, occur in the fits; from here on they may overflow.
    private const double SafeCube = 1e28;

    private readonly EncodeKernel _kernel;
    private readonly float* _source;
    private readonly TBlock* _destination;
    private readonly float* _importance;
    private readonly int _rowLength;
    private readonly int _blocks;
    private readonly int _importanceLength;
    private readonly float _maxImportance;
    private readonly long _firstRow;
    private readonly EncodeMode _mode;
    private readonly ScaleOverflow _overflow;

    public RowEncoder(EncodeKernel kernel, float* source, TBlock* destination, float* importance, int rowLength, in EncodeOptions options)
    {
        _kernel = kernel;
        _source = source;
        _destination = destination;
        _importance = importance;
        _rowLength = rowLength;
        _blocks = rowLength / TBlock.WeightsPerBlock;
        _importanceLength = options.Importance.Length;
        _maxImportance = options.Importance.IsEmpty ? 1 : TensorPrimitives.Max(options.Importance);
        _firstRow = options.FirstRow;
        _mode = options.Mode;
        _overflow = options.Overflow;
    }

    private ReadOnlySpan<float> Importance => new(_importance, _importanceLength);

    /// <summary>Encodes rows.</summary>
    /// <exception cref="InvalidWeightException">A weight is not finite, or a block cannot express its weights.</exception>
    public void Run(int first, int count)
    {
        float largest = 0;
        int finite = 0;
        while (finite < count)
        {
            float largestOfRow = FindLargest(Row(first + finite));
            if (!float.IsFinite(largestOfRow) || (largestOfRow > TBlock.MaxWeight && _overflow == ScaleOverflow.Error))
            {
                break;
            }

            largest = Math.Max(largest, largestOfRow);
            finite++;
        }

        Encode(first, finite);
        if (_overflow == ScaleOverflow.Error)
        {
            for (int row = first; row < first + finite; row++)
            {
                CheckScales(row, largest);
            }
        }

        if (finite < count)
        {
            ReadOnlySpan<float> culprit = Row(first + finite);
            if (float.IsFinite(FindLargest(culprit)))
            {
                Throw.WeightTooLarge(_kernel.Codec, _firstRow + first + finite, culprit);
            }

            Throw.WeightNotFinite(_kernel.Codec, _firstRow + first + finite, culprit);
        }
    }

    private void Encode(int first, int count)
    {
        var task = new EncodeTask(
            _source + ((nint)first * _rowLength),
            (byte*)(_destination + ((nint)first * _blocks)),
            _importanceLength == 0 ? null : _importance,
            _rowLength,
            count);
        if (_mode == EncodeMode.Best)
        {
            TBlock.EncodeBest(_kernel, task);
        }
        else
        {
            _kernel.Run(task);
        }
    }

    private ReadOnlySpan<float> Row(int row) => new(_source + ((nint)row * _rowLength), _rowLength);

    private Span<TBlock> Encoded(int row) => new(_destination + ((nint)row * _blocks), _blocks);

    /// <summary>The largest magnitude; infinite or NaN if one is.</summary>
    private static float FindLargest(ReadOnlySpan<float> weights)
    {
        // Magnitudes are in the order of their bits.
        ReadOnlySpan<int> bits = MemoryMarshal.Cast<float, int>(weights);
        Vector<int> magnitude = new(int.MaxValue), largest = Vector<int>.Zero, other = Vector<int>.Zero;
        int i = 0;
        for (; i <= bits.Length - (2 * Vector<int>.Count); i += 2 * Vector<int>.Count)
        {
            largest = Vector.Max(largest, new Vector<int>(bits[i..]) & magnitude);
            other = Vector.Max(other, new Vector<int>(bits[(i + Vector<int>.Count)..]) & magnitude);
        }

        largest = Vector.Max(largest, other);
        int result = 0;
        for (int lane = 0; lane < Vector<int>.Count; lane++)
        {
            result = Math.Max(result, largest[lane]);
        }

        for (; i < bits.Length; i++)
        {
            result = Math.Max(result, bits[i] & int.MaxValue);
        }

        return BitConverter.Int32BitsToSingle(result);
    }

    private void CheckScales(int row, float largestOfTurn)
    {
        // Below this, a pass-through format cannot overflow, and looking at each of its one-weight blocks would take longer than writing
        // them.
        if (TBlock.WeightsPerBlock == 1 && largestOfTurn < (float)Half.MaxValue)
        {
            return;
        }

        ReadOnlySpan<float> weights = Row(row);
        ReadOnlySpan<TBlock> encoded = Encoded(row);
        bool fitMayOverflow = MayOverflow(largestOfTurn);
        for (int b = 0; b < encoded.Length; b++)
        {
            if (!encoded[b].IsFinite || (fitMayOverflow && IsLost(b, weights, encoded[b])))
            {
                ThrowOverflow(row, b);
            }
        }
    }

    private void ThrowOverflow(int row, int block)
    {
        // A sum over the whole row that overflowed spoils every block; the largest weight is to blame, wherever it is.
        // With importance of 1 these weights would have been no trouble.
        ReadOnlySpan<float> weights = Row(row);
        float largest = FindLargest(weights);
        if ((double)largest * largest * largest <= SafeCube && largest < (float)Half.MaxValue)
        {
            Throw.HugeImportance(_kernel.Codec, _firstRow + row, Importance);
        }

        int culprit = MayOverflow(largest) ? TensorPrimitives.IndexOfMaxMagnitude(weights) / TBlock.WeightsPerBlock : block;
        int column = culprit * TBlock.WeightsPerBlock;
        Throw.ScaleOverflow(_kernel.Codec, _firstRow + row, column, weights.Slice(column, TBlock.WeightsPerBlock));
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
