namespace KQuant.Codecs.Rotations;

/// <summary>The moments of numbers that were seen, each of the same mass.</summary>
internal sealed class SampleMoments : CellMoments
{
    private readonly float[] _sorted;

    /// <summary>Sums of what lies before each number.</summary>
    private readonly double[] _first, _second;

    public SampleMoments(ReadOnlySpan<float> samples)
    {
        _sorted = samples.ToArray();
        Array.Sort(_sorted);
        (_first, _second) = (new double[_sorted.Length + 1], new double[_sorted.Length + 1]);
        for (int i = 0; i < _sorted.Length; i++)
        {
            (_first[i + 1], _second[i + 1]) = (_first[i] + _sorted[i], _second[i] + ((double)_sorted[i] * _sorted[i]));
        }
    }

    public override double Low => _sorted[0];

    public override double High => Math.BitIncrement((double)_sorted[^1]);

    /// <summary>Equal shares of the numbers.</summary>
    public override double[] GetStart(int count, double place) =>
        [.. Enumerable.Range(0, count).Select(i => (double)_sorted[(int)((i + place) * _sorted.Length / count)])];

    public override (double Mass, double First, double Second) Integrate(double from, double to)
    {
        int start = CountBelow(from), end = CountBelow(to);
        double count = _sorted.Length;
        return ((end - start) / count, (_first[end] - _first[start]) / count, (_second[end] - _second[start]) / count);
    }

    public override double GetDensity(double value) => 0;

    private int CountBelow(double value)
    {
        int low = 0, high = _sorted.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _sorted[middle] < value ? (middle + 1, high) : (low, middle);
        }

        return low;
    }
}
