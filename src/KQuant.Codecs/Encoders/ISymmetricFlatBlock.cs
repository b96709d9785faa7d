namespace KQuant.Codecs.Encoders;

/// <summary>q4_0 and q5_0: 32 signed codes and a scale. Only the place of the bits differs, and the encoders are the same.</summary>
internal interface ISymmetricFlatBlock<TSelf> : IBlockEncoder<TSelf>
    where TSelf : unmanaged, ISymmetricFlatBlock<TSelf>
{
    /// <summary>Half the number of codes.</summary>
    static abstract int HalfCodes { get; }

    /// <summary>The scale.</summary>
    Half Scale { get; }

    /// <summary>Packs a block.</summary>
    /// <param name="scale">The scale.</param>
    /// <param name="codes">The codes, <see cref="HalfCodes"/> added.</param>
    void Store(Half scale, ReadOnlySpan<byte> codes);

    /// <summary>ggml <c>quantize_row_q4_0_ref</c>, <c>quantize_row_q5_0_ref</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodePlain(ReadOnlySpan<float> row, Span<TSelf> destination)
    {
        Span<byte> codes = stackalloc byte[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float d = SymmetricFit.Extreme(x) / -TSelf.HalfCodes;
            float inverse = d != 0 ? 1 / d : 0;
            for (int j = 0; j < 32; j++)
            {
                codes[j] = (byte)Math.Min((2 * TSelf.HalfCodes) - 1, (int)((x[j] * inverse) + (TSelf.HalfCodes + 0.5f)));
            }

            destination[b].Store((Half)d, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q4_0_impl</c>, <c>quantize_row_q5_0_impl</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodeWeighted(ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<TSelf> destination)
    {
        Span<float> weights = stackalloc float[32];
        Span<byte> codes = stackalloc byte[32];
        float power = ErrorWeights.SumOfSquares(row) / row.Length;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            float d = SymmetricFit.Fit(x, weights, TSelf.HalfCodes, codes);
            destination[b].Store((Half)d, codes);
        }
    }

    /// <inheritdoc/>
    static TSelf IBlockEncoder<TSelf>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in TSelf start)
    {
        Span<byte> codes = stackalloc byte[32];
        Half d = FlatSearch.Symmetric(x, weights, TSelf.HalfCodes, start.Scale, codes);
        TSelf refined = default;
        refined.Store(d, codes);
        return refined;
    }
}
