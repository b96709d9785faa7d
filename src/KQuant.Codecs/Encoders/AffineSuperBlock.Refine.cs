namespace KQuant.Codecs.Encoders;

/// <summary>The search of <see cref="EncodeMode.Best"/>.</summary>
internal partial struct AffineSuperBlock
{
    private const int FitRounds = 2;
    private const int JointRounds = 2;

    private const int NeighboursTried = 64;

    /// <summary>
    /// Looks for numbers with a lower weighted squared error: fits each sub-block freely, finds the two binary16 scales that harm these
    /// fits least, and then alternates between the integers of the sub-blocks, given the scales, and the scales, given the integers.
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
        Span<byte> scales = stackalloc byte[NeighboursTried];
        Span<byte> mins = stackalloc byte[NeighboursTried];
        candidates.Count = NeighboursTried;
        equations = default;
        for (int s = 0; s < layout.Groups; s++)
        {
            CandidateSearch group = Group(x, weights, layout, s);
            Moments sums = group.Measure(d * Scales[s], dmin * Mins[s]);
            float slope = dmin > 0 ? sums.Q / sums.W * d / dmin : 0;
            ListNeighbours(Scales[s], Mins[s], slope, layout.MaxScale, scales, mins);
            for (int k = 0; k < NeighboursTried; k++)
            {
                candidates.Scales[k] = d * scales[k];
                candidates.Mins[k] = dmin * mins[k];
            }

            int best = group.Best(ref candidates);
            total += candidates.Errors[best];
            Scales[s] = scales[best];
            Mins[s] = mins[best];
            equations.Add(group.Measure(candidates.Scales[best], candidates.Mins[best]), scales[best], mins[best]);
        }

        return total;
    }

    /// <summary>
    /// Nine scales, and for each seven minimums along the valley of the error: a larger scale goes with a larger minimum.
    /// </summary>
    private static void ListNeighbours(int scale, int min, float slope, int max, Span<byte> scales, Span<byte> mins)
    {
        scales[0] = (byte)scale;
        mins[0] = (byte)min;
        int k = 1;
        for (int i = -4; i <= 4; i++)
        {
            int valley = min + (int)MathF.Round(slope * i);
            for (int j = -3; j <= 3; j++)
            {
                scales[k] = (byte)Math.Clamp(scale + i, 0, max);
                mins[k++] = (byte)Math.Clamp(valley + j, 0, max);
            }
        }
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
