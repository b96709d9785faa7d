using KQuant.Codecs.Blocks;
using static KQuant.Codecs.Encoders.Rounding;

namespace KQuant.Codecs.Encoders;

/// <summary>What distinguishes q2_K, q4_K and q5_K from each other once the bits are unpacked.</summary>
/// <param name="GroupSize">Weights per sub-block: 16 or 32.</param>
/// <param name="MaxScale">Largest scale and minimum of a sub-block: 15 or 63.</param>
/// <param name="PlainSearch">Candidates of the fit without importance; also says the largest code.</param>
/// <param name="WeighsBySpread">Without importance, whether weights near zero count as those of the sub-block do on average, and not less.</param>
/// <param name="PowerFactor">With importance, how often the mean square of the super-block is added to that of each weight.</param>
internal readonly record struct AffineLayout(int GroupSize, int MaxScale, AffineSearch PlainSearch, bool WeighsBySpread, int PowerFactor)
{
    public int Groups => 256 / GroupSize;

    public int MaxCode => PlainSearch.MaxCode;

    /// <summary>What a sub-block may hold; a minimum is never negative.</summary>
    public CodeRange Codes => new(0, MaxCode, HasMin: true, LeastMin: 0);

    /// <summary>Candidates of the fit with importance.</summary>
    public AffineSearch WeightedSearch => AffineSearch.Weighted(MaxCode);
}

/// <summary>
/// A super-block of q2_K, q4_K or q5_K with its bits unpacked: <c>w = (D * Scales[s]) * q - DMin * Mins[s]</c>. The steps from weights to
/// these numbers are the same for the three.
/// </summary>
internal partial struct AffineSuperBlock
{
    public Half D;
    public Half DMin;
    public Bytes16 Scales;
    public Bytes16 Mins;
    public Bytes256 Codes;

    /// <summary>
    /// Fits each sub-block, then divides the range of the scales evenly. (ggml <c>quantize_row_q2_K_ref</c>, <c>_q4_K_ref</c>,
    /// <c>_q5_K_ref</c>.)
    /// </summary>
    public void EncodePlain(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout)
    {
        Span<float> scales = stackalloc float[16];
        Span<float> mins = stackalloc float[16];
        FitGroups(x, weights, layout.PlainSearch, layout.GroupSize, scales, mins);
        D = (Half)DivideEvenly(scales[..layout.Groups], layout.MaxScale, Scales);
        DMin = (Half)DivideEvenly(mins[..layout.Groups], layout.MaxScale, Mins);
        Requantize(x, layout);
    }

    /// <summary>
    /// Fits each sub-block, then fits the scales by the summed weights of the sub-blocks. (ggml <c>quantize_row_q2_K_impl</c>,
    /// <c>_q4_K_impl</c>, <c>_q5_K_impl</c>.)
    /// </summary>
    public void EncodeWeighted(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout)
    {
        Span<float> scales = stackalloc float[16];
        Span<float> mins = stackalloc float[16];
        Span<float> groupWeights = stackalloc float[16];
        FitGroups(x, weights, layout.WeightedSearch, layout.GroupSize, scales, mins);
        for (int s = 0; s < layout.Groups; s++)
        {
            groupWeights[s] = ErrorWeights.Sum(weights.Slice(s * layout.GroupSize, layout.GroupSize));
        }

        D = (Half)ScaleFit.Fit(scales[..layout.Groups], groupWeights, layout.MaxScale, Scales);
        DMin = (Half)ScaleFit.Fit(mins[..layout.Groups], groupWeights, layout.MaxScale, Mins);
        Requantize(x, layout);
    }

    private void FitGroups(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineSearch search, int groupSize, Span<float> scales, Span<float> mins)
    {
        Span<byte> codes = Codes;
        for (int s = 0; s * groupSize < x.Length; s++)
        {
            int start = s * groupSize;
            scales[s] = AffineFit.Fit(
                x.Slice(start, groupSize), weights.Slice(start, groupSize), search, codes.Slice(start, groupSize), out mins[s]);
        }
    }

    private static float DivideEvenly(ReadOnlySpan<float> values, int maxCode, Span<byte> codes)
    {
        float max = 0;
        foreach (float value in values)
        {
            max = value > max ? value : max;
        }

        float inverse = max > 0 ? maxCode / max : 0;
        for (int s = 0; s < values.Length; s++)
        {
            codes[s] = Math.Min((byte)maxCode, (byte)NearestInt(inverse * values[s]));
        }

        return max / maxCode;
    }

    /// <summary>
    /// The codes once more, for the scales as a decoder will see them. Sub-blocks whose scale became zero keep those of the fit.
    /// </summary>
    private void Requantize(ReadOnlySpan<float> x, in AffineLayout layout)
    {
        float d = (float)D, dmin = (float)DMin;
        Span<byte> codes = Codes;
        for (int s = 0; s < layout.Groups; s++)
        {
            float scale = d * Scales[s];
            if (scale != 0)
            {
                int start = s * layout.GroupSize;
                AffineFit.Requantize(
                    x.Slice(start, layout.GroupSize), scale, dmin * Mins[s], layout.MaxCode, codes.Slice(start, layout.GroupSize));
            }
        }
    }
}
