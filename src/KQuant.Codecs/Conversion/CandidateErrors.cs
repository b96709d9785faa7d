using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>Measures what each codec would do to a tensor, by encoding rows of it that are spread evenly.</summary>
internal sealed class CandidateErrors(ModelTensor source, IReadOnlyList<QuantCodec> codecs, ImportanceEntry? entry, EncodeMode mode, long sampleWeights)
{
    private readonly QuantShape _shape = source.GetQuantShape();

    /// <summary>The expected squared error of an output vector, for each codec.</summary>
    public double[] Errors { get; } = new double[codecs.Count];

    /// <summary>The expected squared output.</summary>
    public double Signal { get; private set; }

    /// <summary>Measures.</summary>
    public void Run(int maxDegreeOfParallelism, CancellationToken cancellation)
    {
        int columns = _shape.Columns;
        float[] importance = entry?.GetImportance(_shape) ?? [];
        double[] shares = OutputError.Shares(_shape.Experts, entry);
        long perExpert = Math.Clamp(sampleWeights / _shape.Experts / columns, 1, _shape.Rows);
        long step = Math.Max(1, _shape.Rows / perExpert);
        (long Expert, long Row, double Factor)[] pieces =
        [
            .. from expert in Enumerable.Range(0, (int)_shape.Experts)
               let rows = (_shape.Rows + step - 1) / step
               from piece in Enumerable.Range(0, (int)rows)
               select ((long)expert, piece * step, shares[expert] * _shape.Rows / rows),
        ];
        var options = new ParallelOptions { MaxDegreeOfParallelism = maxDegreeOfParallelism, CancellationToken = cancellation };
        (double Error, double Signal)[][] found = new (double, double)[pieces.Length][];
        Parallel.For(0, pieces.Length, options, i => found[i] = Measure(pieces[i].Expert, pieces[i].Row, importance));
        for (int i = 0; i < pieces.Length; i++)
        {
            Signal += pieces[i].Factor * found[i][0].Signal;
            for (int codec = 0; codec < codecs.Count; codec++)
            {
                Errors[codec] += pieces[i].Factor * found[i][codec].Error;
            }
        }
    }

    private (double Error, double Signal)[] Measure(long expert, long row, float[] importance)
    {
        int columns = _shape.Columns;
        using var weights = MemoryOwner<float>.Allocate(columns);
        using var decoded = MemoryOwner<float>.Allocate(columns);
        source.ReadRows((expert * _shape.Rows) + row, weights.Span);
        ReadOnlySpan<float> part = importance.Length == columns ? importance : importance.Length == 0 ? [] : importance.AsSpan((int)expert * columns, columns);
        var found = new (double, double)[codecs.Count];
        for (int i = 0; i < codecs.Count; i++)
        {
            using var encoded = MemoryOwner<byte>.Allocate((int)codecs[i].GetByteCount(columns));
            codecs[i].Encode(weights.Span, encoded.Span, new EncodeOptions { Importance = part, RowLength = columns, Mode = mode, Overflow = ScaleOverflow.Keep });
            codecs[i].Decode(encoded.Span, decoded.Span);
            found[i] = OutputError.Measure(weights.Span, decoded.Span, part, columns);
        }

        return found;
    }
}
