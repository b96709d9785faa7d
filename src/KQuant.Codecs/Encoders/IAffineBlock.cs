namespace KQuant.Codecs.Encoders;

/// <summary>q2_K, q4_K and q5_K: affine super-blocks. What differs is the place of the bits and what <see cref="AffineLayout"/> says.</summary>
internal interface IAffineBlock<TSelf> : IBlockEncoder<TSelf>
    where TSelf : unmanaged, IAffineBlock<TSelf>
{
    /// <summary>Codes, scales and the search for them.</summary>
    static abstract AffineLayout Layout { get; }

    /// <summary>Unpacks the scales, without the codes.</summary>
    void LoadScales(ref AffineSuperBlock block);

    /// <summary>Packs a super-block.</summary>
    void Store(in AffineSuperBlock block);

    /// <summary>ggml <c>quantize_row_q2_K_ref</c>, <c>quantize_row_q4_K_ref</c>, <c>quantize_row_q5_K_ref</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodePlain(ReadOnlySpan<float> row, Span<TSelf> destination)
    {
        AffineLayout layout = TSelf.Layout;
        Span<float> weights = stackalloc float[256];
        AffineSuperBlock block = default;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            for (int i = 0; i < 256; i += layout.GroupSize)
            {
                ReadOnlySpan<float> group = x.Slice(i, layout.GroupSize);
                float offset = layout.WeighsBySpread ? MathF.Sqrt(ErrorWeights.SumOfSquares(group) / layout.GroupSize) : 0;
                ErrorWeights.Magnitudes(group, offset, weights.Slice(i, layout.GroupSize));
            }

            block.EncodePlain(x, weights, layout);
            destination[b].Store(block);
        }
    }

    /// <summary>ggml <c>quantize_row_q2_K_impl</c>, <c>quantize_row_q4_K_impl</c>, <c>quantize_row_q5_K_impl</c>.</summary>
    static void IBlockEncoder<TSelf>.EncodeWeighted(ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<TSelf> destination)
    {
        AffineLayout layout = TSelf.Layout;
        Span<float> weights = stackalloc float[256];
        AffineSuperBlock block = default;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            float power = layout.PowerFactor * ErrorWeights.SumOfSquares(x) / 256;
            ErrorWeights.FromImportance(x, importance.Slice(b * 256, 256), power, weights);
            block.EncodeWeighted(x, weights, layout);
            destination[b].Store(block);
        }
    }

    /// <inheritdoc/>
    static TSelf IBlockEncoder<TSelf>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in TSelf start)
    {
        AffineSuperBlock block = default;
        start.LoadScales(ref block);
        block.Refine(x, weights, TSelf.Layout);
        TSelf refined = default;
        refined.Store(block);
        return refined;
    }
}
