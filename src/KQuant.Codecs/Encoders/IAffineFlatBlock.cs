namespace KQuant.Codecs.Encoders;

/// <summary>q4_1 and q5_1: 32 codes, a scale and a minimum. Only the place of the bits differs, and the encoders are the same.</summary>
internal interface IAffineFlatBlock<TSelf> : IBlockEncoder<TSelf>
    where TSelf : unmanaged, IAffineFlatBlock<TSelf>
{
    /// <summary>The largest code.</summary>
    static abstract int MaxCode { get; }

    /// <summary>The scale and the minimum.</summary>
    (Half Scale, Half Min) Scales { get; }

    /// <summary>Packs a block.</summary>
    void Store(Half scale, Half min, ReadOnlySpan<byte> codes);

    /// <summary>ggml <c>quantize_row_q4_1_ref</c>, <c>quantize_row_q5_1_ref</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodePlain(ReadOnlySpan<float> row, Span<TSelf> destination)
    {
        Span<byte> codes = stackalloc byte[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            (float low, float high) = AffineFit.Range(x);
            float d = (high - low) / TSelf.MaxCode;
            float inverse = d != 0 ? 1 / d : 0;
            for (int j = 0; j < 32; j++)
            {
                codes[j] = (byte)Math.Min(TSelf.MaxCode, (int)(((x[j] - low) * inverse) + 0.5f));
            }

            destination[b].Store((Half)d, (Half)low, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q4_1_impl</c>, <c>quantize_row_q5_1_impl</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodeWeighted(ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<TSelf> destination)
    {
        Span<float> weights = stackalloc float[32];
        Span<byte> codes = stackalloc byte[32];
        float power = ErrorWeights.SumOfSquares(row) / row.Length;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            float d = AffineFit.Fit(x, weights, AffineSearch.Weighted(TSelf.MaxCode), codes, out float min);
            destination[b].Store((Half)d, (Half)(-min), codes);
        }
    }

    /// <inheritdoc/>
    static TSelf IBlockEncoder<TSelf>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in TSelf start)
    {
        Span<byte> codes = stackalloc byte[32];
        (Half d, Half m) = start.Scales;
        FlatSearch.Affine(x, weights, TSelf.MaxCode, ref d, ref m, codes);
        TSelf refined = default;
        refined.Store(d, m, codes);
        return refined;
    }
}
