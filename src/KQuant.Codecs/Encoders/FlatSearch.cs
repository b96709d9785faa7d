namespace KQuant.Codecs.Encoders;

/// <summary>The search of <see cref="EncodeMode.Best"/> in formats with one scale per 32 weights.</summary>
internal static class FlatSearch
{
    // Starting points of symmetric codes lie dense; those of affine codes have further to go.
    private const int SymmetricRounds = 2;
    private const int AffineRounds = 3;

    /// <summary>q4_0, q5_0: the best scale and codes.</summary>
    /// <param name="x">The weights of a block.</param>
    /// <param name="weights">How much the error of each counts.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="current">A scale to start from.</param>
    /// <param name="codes">Receives the codes, half added.</param>
    /// <returns>The scale.</returns>
    public static Half Symmetric(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, Half current, Span<byte> codes)
    {
        var search = new CandidateSearch(x, weights, new CodeRange(-half, half - 1));
        Candidates candidates = default;
        CandidateGrids.Symmetric(x, half, (float)current, ref candidates);
        search.Improve(ref candidates, SymmetricRounds);
        var rounded = (Half)candidates.Scales[search.Best(ref candidates)];
        CandidateGrids.Neighbours(rounded, default, 8, 16, 1, ref candidates);
        float scale = candidates.Scales[search.Best(ref candidates)];
        search.Quantize(scale, 0, codes);
        return (Half)scale;
    }

    /// <summary>
    /// q8_0: the codes are so fine that binary16 offers only so many scales; those within some percent of the current one are all tried,
    /// mostly larger ones.
    /// </summary>
    /// <inheritdoc cref="Symmetric"/>
    public static Half Signed8(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, Half current, Span<sbyte> codes)
    {
        // The products of this package rely on codes not below -127, as ggml's do.
        var search = new CandidateSearch(x, weights, new CodeRange(-127, 127));
        Candidates candidates = default;
        CandidateGrids.Neighbours(current, default, 12, 128, 1, ref candidates);
        float scale = candidates.Scales[search.Best(ref candidates)];
        Span<byte> counted = stackalloc byte[32];
        search.Quantize(scale, 0, counted);
        for (int j = 0; j < 32; j++)
        {
            codes[j] = (sbyte)(counted[j] - 127);
        }

        return (Half)scale;
    }

    /// <summary>q4_1, q5_1: the best scale, minimum and codes.</summary>
    /// <param name="x">The weights of a block.</param>
    /// <param name="weights">How much the error of each counts.</param>
    /// <param name="maxCode">The largest code.</param>
    /// <param name="d">A scale to start from; receives the best.</param>
    /// <param name="m">A smallest weight to start from; receives the best.</param>
    /// <param name="codes">Receives the codes.</param>
    public static void Affine(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int maxCode, ref Half d, ref Half m, Span<byte> codes)
    {
        var range = new CodeRange(0, maxCode, HasMin: true);
        var search = new CandidateSearch(x, weights, range);
        Candidates candidates = default;
        CandidateGrids.Affine(x, range, (float)d, -(float)m, ref candidates);
        search.Improve(ref candidates, AffineRounds);
        int best = search.Best(ref candidates);
        CandidateGrids.Neighbours((Half)candidates.Scales[best], (Half)candidates.Mins[best], 4, 8, 4, ref candidates);
        best = search.Best(ref candidates);
        search.Quantize(candidates.Scales[best], candidates.Mins[best], codes);
        d = (Half)candidates.Scales[best];
        m = (Half)(-candidates.Mins[best]);
    }
}
