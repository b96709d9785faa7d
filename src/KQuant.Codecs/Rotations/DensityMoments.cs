namespace KQuant.Codecs.Rotations;

/// <summary>The moments of a density, integrated by Gauss and Legendre with four points over small cells.</summary>
internal sealed class DensityMoments : CellMoments
{
    private const int Cells = 8192;

    private readonly Func<double, double> _density;
    private readonly double _width;

    /// <summary>Integrals from the beginning to the start of each cell.</summary>
    private readonly double[] _mass = new double[Cells + 1], _first = new double[Cells + 1], _second = new double[Cells + 1];

    public DensityMoments(Func<double, double> density, double low, double high)
    {
        (_density, Low, High, _width) = (density, low, high, (high - low) / Cells);
        for (int cell = 0; cell < Cells; cell++)
        {
            (double mass, double first, double second) = IntegrateWithin(At(cell), At(cell + 1));
            (_mass[cell + 1], _first[cell + 1], _second[cell + 1]) = (_mass[cell] + mass, _first[cell] + first, _second[cell] + second);
        }

        if (!(_mass[Cells] > 0))
        {
            throw new ArgumentException("The density is zero everywhere.", nameof(density));
        }

        // Integrals of 1 over everything: errors are means then.
        double total = _mass[Cells];
        for (int cell = 0; cell <= Cells; cell++)
        {
            (_mass[cell], _first[cell], _second[cell]) = (_mass[cell] / total, _first[cell] / total, _second[cell] / total);
        }

        _density = value => density(value) / total;
    }

    public override double Low { get; }

    public override double High { get; }

    private static ReadOnlySpan<double> Nodes => [-0.8611363115940526, -0.3399810435848563, 0.3399810435848563, 0.8611363115940526];

    private static ReadOnlySpan<double> Weights => [0.3478548451374538, 0.6521451548625461, 0.6521451548625461, 0.3478548451374538];

    /// <summary>Equal shares of the cube root of the density, which is best for many codes.</summary>
    public override double[] GetStart(int count, double place)
    {
        var roots = new double[Cells + 1];
        for (int cell = 0; cell < Cells; cell++)
        {
            roots[cell + 1] = roots[cell] + Math.Cbrt((_mass[cell + 1] - _mass[cell]) / _width);
        }

        var start = new double[count];
        int at = 0;
        for (int i = 0; i < count; i++)
        {
            double wanted = roots[Cells] * (i + place) / count;
            while (roots[at + 1] < wanted)
            {
                at++;
            }

            start[i] = At(at) + (_width * (wanted - roots[at]) / (roots[at + 1] - roots[at]));
        }

        return start;
    }

    public override (double Mass, double First, double Second) Integrate(double from, double to)
    {
        int start = (int)Math.Ceiling((from - Low) / _width), end = (int)Math.Floor((to - Low) / _width);
        (start, end) = (Math.Clamp(start, 0, Cells), Math.Clamp(end, 0, Cells));
        if (start > end)
        {
            return IntegrateWithin(from, to);
        }

        (double mass, double first, double second) = IntegrateWithin(from, At(start));
        (double lastMass, double lastFirst, double lastSecond) = IntegrateWithin(At(end), to);
        return (
            mass + (_mass[end] - _mass[start]) + lastMass,
            first + (_first[end] - _first[start]) + lastFirst,
            second + (_second[end] - _second[start]) + lastSecond);
    }

    public override double GetDensity(double value) => _density(value);

    private double At(int cell) => Low + (_width * cell);

    private (double Mass, double First, double Second) IntegrateWithin(double from, double to)
    {
        double mass = 0, first = 0, second = 0, half = (to - from) / 2;
        for (int i = 0; i < Nodes.Length; i++)
        {
            double x = from + (half * (1 + Nodes[i])), density = _density(x);
            if (!(density >= 0 && double.IsFinite(density)))
            {
                throw new ArgumentException($"The density is {density} at {x}.");
            }

            double weight = half * Weights[i] * density;
            mass += weight;
            first += weight * x;
            second += weight * x * x;
        }

        return (mass, first, second);
    }
}
