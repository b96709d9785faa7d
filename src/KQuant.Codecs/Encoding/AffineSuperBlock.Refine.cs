namespace KQuant.Codecs.Encoding;

/// <summary>The search of <see cref="EncodeMode.Best"/>.</summary>
internal partial struct AffineSuperBlock
{
    private const int FitRounds = 3;
    private const int JointRounds = 3;

    // Neighbours of a sub-block's scale and minimum that a joint round tries: 9 times 7, and one lane to spare.
    private const int ScaleReach = 4;
    private const int MinReach = 3;
    private const int MinsTried = (2 * MinReach) + 1;

    /// <summary>
    /// Looks for numbers with a lower weighted squared error: fits each sub-block freely, finds the two binary16 scales that harm these fits
    /// least, and then alternates between the integers of the sub-blocks, given the scales, and the scales, given the integers.
    /// </summary>
    public void Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout)
    {
        Candidates candidates = default;
        FitFreely(x, weights, layout, ref candidates);
        AffineSuperBlock best = this;
        float leastError = float.PositiveInfinity;
        for (int round = 0; round < JointRounds; round++)
        {
            float error = ChooseIntegers(x, weights, layout, ref candidates, out LeastSquares equations);
            if (!(error < leastError))
            {
                break;
            }

            (leastError, best) = (error, this);
            if (!equations.Solve(ref D, ref DMin))
            {
                break;
            }
        }

        this = best;
        for (int s = 0; s < layout.Groups; s++)
        {
            Group(x, weights, layout, s).Quantize(
                (float)D * Scales[s], (float)DMin * Mins[s], ((Span<byte>)Codes).Slice(s * layout.GroupSize, layout.GroupSize));
        }
    }

    private static CandidateSearch Group(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout, int s) => new(
        x.Slice(s * layout.GroupSize, layout.GroupSize), weights.Slice(s * layout.GroupSize, layout.GroupSize), layout.Codes);

    private void FitFreely(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout, ref Candidates candidates)
    {
        Span<float> scales = stackalloc float[layout.Groups];
        Span<float> mins = stackalloc float[layout.Groups];
        Span<float> scaleWeights = stackalloc float[layout.Groups];
        Span<float> minWeights = stackalloc float[layout.Groups];
        Span<float> meanCodes = stackalloc float[layout.Groups];
        for (int s = 0; s < layout.Groups; s++)
        {
            CandidateSearch group = Group(x, weights, layout, s);
            CandidateGrids.Affine(
                x.Slice(s * layout.GroupSize, layout.GroupSize), layout.Codes, (float)D * Scales[s], (float)DMin * Mins[s], ref candidates);
            group.Improve(ref candidates, FitRounds);
            int k = group.Best(ref candidates);
            (scales[s], mins[s]) = (candidates.Scales[k], candidates.Mins[k]);
            Moments sums = group.Measure(scales[s], mins[s]);
            meanCodes[s] = sums.Q / sums.W;

            // With fixed codes the error is quadratic in scale and minimum. What a wrong scale costs when the minimum makes the best of it:
            scaleWeights[s] = MathF.Max(0, sums.QQ - (sums.Q * meanCodes[s]));
            minWeights[s] = sums.W;
        }

        float d = Share(scales, scaleWeights, layout.MaxScale, Scales, ref candidates);
        for (int s = 0; s < layout.Groups; s++)
        {
            mins[s] = MathF.Max(0, mins[s] + (meanCodes[s] * ((d * Scales[s]) - scales[s])));
        }

        D = (Half)d;
        DMin = (Half)Share(mins, minWeights, layout.MaxScale, Mins, ref candidates);
    }

    private static float Share(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int maxCode, Span<byte> codes, ref Candidates candidates)
    {
        var range = new CodeRange(0, maxCode);
        var search = new CandidateSearch(values, weights, range);
        CandidateGrids.Shared(values, range, ref candidates);
        float scale = candidates.Scales[search.Best(ref candidates)];
        search.Quantize(scale, 0, codes);
        return scale;
    }

    /// <summary>Moves the scale and minimum of each sub-block to the best of their neighbours.</summary>
    /// <returns>The error of the super-block.</returns>
    private float ChooseIntegers(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineLayout layout, ref Candidates candidates, out LeastSquares equations)
    {
        float d = (float)D, dmin = (float)DMin, total = 0;
        equations = default;
        candidates.Count = 64;
        for (int s = 0; s < layout.Groups; s++)
        {
            CandidateSearch group = Group(x, weights, layout, s);
            Moments sums = group.Measure(d * Scales[s], dmin * Mins[s]);

            // Along a valley: a larger scale goes with a larger minimum.
            float slope = dmin > 0 ? sums.Q / sums.W * d / dmin : 0;
            for (int k = 0; k < candidates.Count; k++)
            {
                (int scale, int min) = Neighbour(s, k, slope, layout.MaxScale);
                candidates.Scales[k] = d * scale;
                candidates.Mins[k] = dmin * min;
            }

            int best = group.Best(ref candidates);
            total += candidates.Errors[best];
            (int newScale, int newMin) = Neighbour(s, best, slope, layout.MaxScale);
            Scales[s] = (byte)newScale;
            Mins[s] = (byte)newMin;
            equations.Add(group.Measure(candidates.Scales[best], candidates.Mins[best]), newScale, newMin);
        }

        return total;
    }

    private readonly (int Scale, int Min) Neighbour(int s, int index, float slope, int max)
    {
        int step = (index / MinsTried) - ScaleReach;
        int min = Mins[s] + (int)MathF.Round(slope * step) + (index % MinsTried) - MinReach;
        return (Math.Clamp(Scales[s] + step, 0, max), Math.Clamp(min, 0, max));
    }

    /// <summary>The normal equations for d and dmin with all integers fixed.</summary>
    private struct LeastSquares
    {
        private double _scaleScale;
        private double _scaleMin;
        private double _minMin;
        private double _scaleX;
        private double _minX;

        public void Add(in Moments sums, int scale, int min)
        {
            _scaleScale += (double)scale * scale * sums.QQ;
            _scaleMin += (double)scale * min * sums.Q;
            _minMin += (double)min * min * sums.W;
            _scaleX += (double)scale * sums.XQ;
            _minX += (double)min * sums.X;
        }

        /// <summary>Solves for both, or for d alone where the minimums leave no choice. False when there is nothing new.</summary>
        public readonly bool Solve(ref Half d, ref Half dmin)
        {
            double determinant = (_scaleScale * _minMin) - (_scaleMin * _scaleMin);
            double newD = _scaleX / _scaleScale, newDMin = (double)dmin;
            if (determinant > 1e-9 * _scaleScale * _minMin)
            {
                newD = ((_minMin * _scaleX) - (_scaleMin * _minX)) / determinant;
                newDMin = ((_scaleMin * _scaleX) - (_scaleScale * _minX)) / determinant;
            }

            var halfD = (Half)newD;
            var halfDMin = (Half)newDMin;
            if (!Half.IsFinite(halfD) || !Half.IsFinite(halfDMin) || newD < 0 || newDMin < 0 || (halfD == d && halfDMin == dmin))
            {
                return false;
            }

            (d, dmin) = (halfD, halfDMin);
            return true;
        }
    }
}
