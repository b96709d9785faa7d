namespace KQuant.Codecs.Rotations;

/// <summary>
/// Finds centroids that are the means of their cells. Lloyd's step, means of the cells that there are, always gets nearer, but slowly where
/// there are many; Newton's, which knows how means move with the borders, ends it.
/// </summary>
internal static class LloydMaxSolver
{
    private const int LloydSteps = 60;
    private const int NewtonSteps = 60;
    private const int MostSteps = 500;

    /// <summary>What another solution has to be better by, relatively.</summary>
    private const double Improvement = 1e-6;

    /// <summary>
    /// The centroids. Where the logarithm of a density is concave there is one solution; of others the best of some is taken, and a lopsided
    /// one may be much better than a symmetric one.
    /// </summary>
    public static double[] Solve(CellMoments moments, int count)
    {
        double[] best = [];
        double least = double.PositiveInfinity;
        foreach (double place in (double[])[0.5, 0.3, 0.1])
        {
            double[] centroids = Solve(moments, moments.GetStart(count, place));
            double error = GetError(moments, centroids);
            if (error < least * (1 - Improvement))
            {
                (best, least) = (centroids, error);
            }
        }

        return best;
    }

    /// <summary>The mean squared error.</summary>
    public static double GetError(CellMoments moments, double[] centroids)
    {
        double error = 0;
        for (int i = 0; i < centroids.Length; i++)
        {
            (double from, double to) = GetCell(moments, centroids, i);
            (double mass, double first, double second) = moments.Integrate(from, to);
            error += second - (2 * centroids[i] * first) + (centroids[i] * centroids[i] * mass);
        }

        return error;
    }

    private static double[] Solve(CellMoments moments, double[] centroids)
    {
        double distance = double.PositiveInfinity;
        bool hasDensity = moments is DensityMoments;
        for (int step = 0; step < (hasDensity ? LloydSteps : MostSteps) && distance > 0; step++)
        {
            distance = Move(moments, centroids, GetMeans(moments, centroids, null));
        }

        for (int step = 0; hasDensity && step < NewtonSteps && distance > 1e-14 * (moments.High - moments.Low); step++)
        {
            distance = StepByNewton(moments, centroids);
        }

        return centroids;
    }

    private static (double From, double To) GetCell(CellMoments moments, double[] centroids, int index) => (
        index == 0 ? moments.Low : (centroids[index - 1] + centroids[index]) / 2,
        index == centroids.Length - 1 ? moments.High : (centroids[index] + centroids[index + 1]) / 2);

    /// <summary>The means of the cells; a cell without mass keeps its centroid.</summary>
    private static double[] GetMeans(CellMoments moments, double[] centroids, double[]? masses)
    {
        var means = new double[centroids.Length];
        for (int i = 0; i < centroids.Length; i++)
        {
            (double from, double to) = GetCell(moments, centroids, i);
            (double mass, double first, _) = moments.Integrate(from, to);
            means[i] = mass > 0 ? first / mass : centroids[i];
            if (masses is not null)
            {
                masses[i] = mass;
            }
        }

        return means;
    }

    private static double Move(CellMoments moments, double[] centroids, double[] to)
    {
        double distance = 0;
        for (int i = 0; i < centroids.Length; i++)
        {
            double next = Math.Clamp(to[i], moments.Low, moments.High);
            distance = Math.Max(distance, Math.Abs(next - centroids[i]));
            centroids[i] = next;
        }

        return distance;
    }

    /// <summary>
    /// A step to where centroid less mean is 0: a mean moves with each of its borders by density times the distance to it over the mass, and a
    /// border moves half as far as either neighbour. Where that would bring centroids out of order, Lloyd's step is taken.
    /// </summary>
    private static double StepByNewton(CellMoments moments, double[] centroids)
    {
        int count = centroids.Length;
        double[] masses = new double[count], means = GetMeans(moments, centroids, masses);
        double[] below = new double[count], diagonal = new double[count], above = new double[count], next = new double[count];
        for (int i = 0; i < count; i++)
        {
            (double from, double to) = GetCell(moments, centroids, i);
            bool hasMass = masses[i] > 0;
            double low = i == 0 || !hasMass ? 0 : moments.GetDensity(from) * (means[i] - from) / masses[i] / 2;
            double high = i == count - 1 || !hasMass ? 0 : moments.GetDensity(to) * (to - means[i]) / masses[i] / 2;
            (below[i], diagonal[i], above[i], next[i]) = (-low, 1 - low - high, -high, means[i] - centroids[i]);
        }

        for (int i = 1; i < count; i++)
        {
            double factor = below[i] / diagonal[i - 1];
            diagonal[i] -= factor * above[i - 1];
            next[i] -= factor * next[i - 1];
        }

        for (int i = count - 1; i >= 0; i--)
        {
            next[i] = (next[i] - (i == count - 1 ? 0 : above[i] * next[i + 1])) / diagonal[i];
        }

        for (int i = 0; i < count; i++)
        {
            next[i] += centroids[i];
        }

        bool isOrdered = next[0] >= moments.Low && next[^1] <= moments.High;
        for (int i = 1; i < count && isOrdered; i++)
        {
            isOrdered = next[i] > next[i - 1];
        }

        return Move(moments, centroids, isOrdered ? next : means);
    }
}
