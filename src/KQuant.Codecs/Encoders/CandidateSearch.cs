using System.Numerics;
using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders;

/// <summary>The integers that a group may use, and whether a minimum goes with them.</summary>
/// <param name="Low">The least integer.</param>
/// <param name="High">The largest integer.</param>
/// <param name="HasMin">Whether the format stores minimums.</param>
/// <param name="LeastMin">The least minimum it can store.</param>
internal readonly record struct CodeRange(int Low, int High, bool HasMin = false, float LeastMin = float.NegativeInfinity);

/// <summary>Scales and minimums to choose from, and the errors that they lead to.</summary>
internal struct Candidates
{
    /// <summary>Room for candidates.</summary>
    public const int Capacity = 128;

    /// <summary>Candidates in use; a multiple of 16, so that they fill vectors of any width.</summary>
    public int Count;

    public Lanes Scales;
    public Lanes Mins;
    public Lanes Errors;

    [InlineArray(Capacity)]
    public struct Lanes
    {
        private float _first;
    }
}

/// <summary>Weighted sums over a group for one choice of codes q: of w, w x, w q, w q q and w x q.</summary>
internal readonly record struct Moments(float W, float X, float Q, float QQ, float XQ);

/// <summary>
/// One group of values, to be written as <c>x = scale * q - min</c> with integers q in a range, at the least weighted squared error. Many
/// candidates for (scale, min) are tried at once, one to a vector lane: each lane adds up in index order, so results do not depend on
/// the width of the vectors.
/// </summary>
/// <param name="x">The values.</param>
/// <param name="weights">A positive weight for each.</param>
/// <param name="codes">The integers.</param>
internal readonly ref struct CandidateSearch(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, CodeRange codes)
{
    private readonly ReadOnlySpan<float> _x = x;
    private readonly ReadOnlySpan<float> _weights = weights[..x.Length];

    /// <summary>Replaces each candidate by the least-squares optimum for the codes that it leads to, a number of times over.</summary>
    public void Improve(ref Candidates candidates, int rounds)
    {
        Span<float> scales = candidates.Scales[..candidates.Count];
        Span<float> mins = candidates.Mins[..candidates.Count];
        float w = 0, wx = 0;
        for (int i = 0; i < _x.Length; i++)
        {
            w += _weights[i];
            wx += _weights[i] * _x[i];
        }

        var sumW = new Vector<float>(w);
        var sumX = new Vector<float>(wx);
        for (int k = 0; k < scales.Length; k += Vector<float>.Count)
        {
            var scale = new Vector<float>(scales[k..]);
            var min = new Vector<float>(mins[k..]);
            for (int round = 0; round < rounds; round++)
            {
                ImproveLanes(ref scale, ref min, sumW, sumX);
            }

            scale.CopyTo(scales[k..]);
            min.CopyTo(mins[k..]);
        }
    }

    /// <summary>Computes the error of each candidate with the nearest codes, and finds the least; the first of several.</summary>
    /// <returns>Index of the best candidate.</returns>
    public int Best(ref Candidates candidates)
    {
        ReadOnlySpan<float> scales = candidates.Scales[..candidates.Count];
        ReadOnlySpan<float> mins = candidates.Mins[..candidates.Count];
        Span<float> errors = candidates.Errors[..candidates.Count];
        for (int k = 0; k < scales.Length; k += Vector<float>.Count)
        {
            ErrorOfLanes(new Vector<float>(scales[k..]), new Vector<float>(mins[k..])).CopyTo(errors[k..]);
        }

        int best = 0;
        float least = float.PositiveInfinity;
        for (int k = 0; k < errors.Length; k++)
        {
            if (errors[k] < least)
            {
                (best, least) = (k, errors[k]);
            }
        }

        return best;
    }

    /// <summary>The sums for the nearest codes of one candidate.</summary>
    public Moments Measure(float scale, float min)
    {
        float inverse = scale == 0 ? 0 : 1 / scale;
        float sumW = 0, sumX = 0, sumQ = 0, sumQQ = 0, sumXQ = 0;
        for (int i = 0; i < _x.Length; i++)
        {
            float w = _weights[i];
            float q = Nearest(_x[i], inverse, min);
            sumW += w;
            sumX += w * _x[i];
            sumQ += w * q;
            sumQQ += w * q * q;
            sumXQ += w * q * _x[i];
        }

        return new Moments(sumW, sumX, sumQ, sumQQ, sumXQ);
    }

    /// <summary>The nearest codes for one candidate, counted from the least integer.</summary>
    public void Quantize(float scale, float min, Span<byte> destination)
    {
        float inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = 0; i < _x.Length; i++)
        {
            destination[i] = (byte)(Nearest(_x[i], inverse, min) - codes.Low);
        }
    }

    private float Nearest(float value, float inverse, float min) =>
        float.MinNative(float.MaxNative(MathF.Round((value + min) * inverse), codes.Low), codes.High);

    private void ImproveLanes(ref Vector<float> scale, ref Vector<float> min, Vector<float> sumW, Vector<float> sumX)
    {
        var low = new Vector<float>(codes.Low);
        var high = new Vector<float>(codes.High);
        Vector<float> inverse = Reciprocal(scale);
        Vector<float> sumQ = Vector<float>.Zero, sumQQ = Vector<float>.Zero, sumXQ = Vector<float>.Zero;
        for (int i = 0; i < _x.Length; i++)
        {
            var value = new Vector<float>(_x[i]);
            Vector<float> q = Vector.MinNative(Vector.MaxNative(Vector.Round((value + min) * inverse), low), high);
            Vector<float> wq = q * new Vector<float>(_weights[i]);
            sumQ += wq;
            sumQQ += wq * q;
            sumXQ += wq * value;
        }

        if (!codes.HasMin)
        {
            scale = Vector.ConditionalSelect(Vector.GreaterThan(sumQQ, Vector<float>.Zero), sumXQ / sumQQ, scale);
            return;
        }

        // The optimum, or where its minimum is not allowed, the best scale for the least one.
        Vector<float> determinant = (sumW * sumQQ) - (sumQ * sumQ);
        Vector<float> newScale = ((sumW * sumXQ) - (sumX * sumQ)) / determinant;
        Vector<float> newMin = ((sumQ * sumXQ) - (sumQQ * sumX)) / determinant;
        var leastMin = new Vector<float>(codes.LeastMin);
        Vector<int> tooLow = Vector.LessThan(newMin, leastMin);
        newScale = Vector.ConditionalSelect(tooLow, (sumXQ + (leastMin * sumQ)) / sumQQ, newScale);
        newMin = Vector.ConditionalSelect(tooLow, leastMin, newMin);
        Vector<int> solvable = Vector.GreaterThan(determinant, Vector<float>.Zero);
        scale = Vector.ConditionalSelect(solvable, newScale, scale);
        min = Vector.ConditionalSelect(solvable, newMin, min);
    }

    private Vector<float> ErrorOfLanes(Vector<float> scale, Vector<float> min)
    {
        var low = new Vector<float>(codes.Low);
        var high = new Vector<float>(codes.High);
        Vector<float> inverse = Reciprocal(scale);
        Vector<float> sum = Vector<float>.Zero;
        for (int i = 0; i < _x.Length; i++)
        {
            Vector<float> value = new Vector<float>(_x[i]) + min;
            Vector<float> q = Vector.MinNative(Vector.MaxNative(Vector.Round(value * inverse), low), high);
            Vector<float> error = value - (scale * q);
            sum += error * error * new Vector<float>(_weights[i]);
        }

        return sum;
    }

    private static Vector<float> Reciprocal(Vector<float> scale) => Vector.ConditionalSelect(
        Vector.Equals(scale, Vector<float>.Zero), Vector<float>.Zero, Vector<float>.One / scale);
}
