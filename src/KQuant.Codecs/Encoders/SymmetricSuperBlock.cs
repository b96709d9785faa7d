using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// A super-block of q3_K or q6_K with its bits unpacked: <c>w = (D * Scales[s]) * (q - half)</c>, sixteen sub-blocks of 16.
/// </summary>
internal struct SymmetricSuperBlock
{
    private const int FitRounds = 2;
    private const int JointRounds = 3;
    private const int ScalesTried = 16;

    public Half D;
    public SBytes16 Scales;
    public Bytes256 Codes;

    /// <summary>
    /// The search of <see cref="EncodeMode.Best"/>, for a lower weighted squared error: fits each sub-block freely, finds the binary16
    /// scale that harms these fits least, and then alternates between the integers of the sub-blocks and that scale.
    /// </summary>
    /// <param name="x">256 weights.</param>
    /// <param name="weights">How much the error of each counts.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="scaleRange">The integers that a sub-block's scale may be.</param>
    public void Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, CodeRange scaleRange)
    {
        var codeRange = new CodeRange(-half, half - 1);
        Candidates candidates = default;
        FitFreely(x, weights, codeRange, scaleRange, ref candidates);
        SymmetricSuperBlock best = this;
        float leastError = float.PositiveInfinity;
        for (int round = 0; round < JointRounds; round++)
        {
            float error = ChooseIntegers(x, weights, codeRange, scaleRange, ref candidates, out double optimum);
            if (!(error < leastError))
            {
                break;
            }

            (leastError, best) = (error, this);
            var rounded = (Half)optimum;
            if (!Half.IsFinite(rounded) || rounded == D)
            {
                break;
            }

            D = rounded;
        }

        this = best;
        for (int s = 0; s < 16; s++)
        {
            Group(x, weights, s, codeRange).Quantize((float)D * Scales[s], 0, ((Span<byte>)Codes).Slice(s * 16, 16));
        }
    }

    private static CandidateSearch Group(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int s, CodeRange codeRange) =>
        new(x.Slice(s * 16, 16), weights.Slice(s * 16, 16), codeRange);

    private void FitFreely(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, CodeRange codeRange, CodeRange scaleRange, ref Candidates candidates)
    {
        Span<float> scales = stackalloc float[16];
        Span<float> scaleWeights = stackalloc float[16];
        for (int s = 0; s < 16; s++)
        {
            CandidateSearch group = Group(x, weights, s, codeRange);
            CandidateGrids.Symmetric(x.Slice(s * 16, 16), -codeRange.Low, (float)D * Scales[s], ref candidates);
            group.Improve(ref candidates, FitRounds);
            scales[s] = candidates.Scales[group.Best(ref candidates)];
            scaleWeights[s] = group.Measure(scales[s], 0).QQ;
        }

        var search = new CandidateSearch(scales, scaleWeights, scaleRange);
        CandidateGrids.Shared(scales, scaleRange, ref candidates);
        float d = candidates.Scales[search.Best(ref candidates)];
        Span<byte> integers = stackalloc byte[16];
        search.Quantize(d, 0, integers);
        for (int s = 0; s < 16; s++)
        {
            Scales[s] = (sbyte)(integers[s] + scaleRange.Low);
        }

        D = (Half)d;
        ((Span<float>)candidates.Mins).Clear();
    }

    /// <summary>Moves the scale of each sub-block to the best of its neighbours.</summary>
    /// <returns>The error of the super-block.</returns>
    private float ChooseIntegers(
        ReadOnlySpan<float> x,
        ReadOnlySpan<float> weights,
        CodeRange codeRange,
        CodeRange scaleRange,
        ref Candidates candidates,
        out double optimum)
    {
        float d = (float)D, total = 0;
        double squares = 0, products = 0;
        candidates.Count = ScalesTried;
        for (int s = 0; s < 16; s++)
        {
            CandidateSearch group = Group(x, weights, s, codeRange);
            int first = Math.Clamp(Scales[s] - (ScalesTried / 2), scaleRange.Low, scaleRange.High + 1 - ScalesTried);
            for (int k = 0; k < ScalesTried; k++)
            {
                candidates.Scales[k] = d * (first + k);
            }

            int best = group.Best(ref candidates);
            total += candidates.Errors[best];
            Scales[s] = (sbyte)(first + best);
            Moments sums = group.Measure(candidates.Scales[best], 0);
            squares += (double)Scales[s] * Scales[s] * sums.QQ;
            products += (double)Scales[s] * sums.XQ;
        }

        optimum = products / squares;
        return total;
    }
}
