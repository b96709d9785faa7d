namespace KQuant.Codecs.Rotations;

/// <summary>
/// The numbers that a few bits stand for so that the mean squared error is the least that a distribution allows (Lloyd and Max): each is the
/// mean of those that are nearest to it.
/// </summary>
/// <example>
/// <code>
/// LloydMaxCodebook codebook = LloydMaxCodebook.Gaussian(3);   // for numbers of mean 0 and variance 1
/// codebook.Encode(values, codes);
/// codebook.Decode(codes, 1, values);
/// </code>
/// </example>
public sealed class LloydMaxCodebook
{
    /// <summary>The most bits of a code.</summary>
    public const int MaxBits = 8;

    private const double GaussianSupport = 10;
    private const double LaplacianSupport = 40;

    private static readonly Lazy<LloydMaxCodebook>[] Gaussians =
        [.. Enumerable.Range(1, MaxBits).Select(bits => new Lazy<LloydMaxCodebook>(() => FromDensity(bits, GaussianDensity, -GaussianSupport, GaussianSupport)))];

    private readonly float[] _centroids;
    private readonly float[] _boundaries;

    private LloydMaxCodebook(double[] centroids, double meanSquaredError)
    {
        _centroids = Array.ConvertAll(centroids, value => (float)value);
        _boundaries = new float[centroids.Length - 1];
        for (int i = 0; i < _boundaries.Length; i++)
        {
            _boundaries[i] = (float)((centroids[i] + centroids[i + 1]) / 2);
        }

        Bits = int.Log2(centroids.Length);
        MeanSquaredError = meanSquaredError;
    }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary>The numbers, 2^<see cref="Bits"/> of them, ascending.</summary>
    public ReadOnlySpan<float> Centroids => _centroids;

    /// <summary>Half-way between them; a value on a boundary belongs to the number above.</summary>
    public ReadOnlySpan<float> Boundaries => _boundaries;

    /// <summary>The mean squared error for the distribution, or the samples, that it was made for.</summary>
    public double MeanSquaredError { get; }

    internal RotationKernel Kernel { get; init; } = RotationKernel.Best;

    /// <summary>For numbers of the normal distribution of mean 0 and variance 1.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <returns>The codebook.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static LloydMaxCodebook Gaussian(int bits)
    {
        CheckBits(bits);
        return Gaussians[bits - 1].Value;
    }

    /// <summary>For numbers with the density <c>e^(-|x|) / 2</c>: mean 0, variance 2.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <returns>The codebook.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static LloydMaxCodebook Laplacian(int bits) => FromDensity(bits, value => Math.Exp(-Math.Abs(value)) / 2, -LaplacianSupport, LaplacianSupport);

    /// <summary>For a coordinate of a uniform point on the unit sphere; its square has a Beta distribution.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="dimension">Coordinates of a point, 3 or more.</param>
    /// <returns>The codebook.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static LloydMaxCodebook Beta(int bits, int dimension)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 3);
        double support = Math.Min(1, GaussianSupport / Math.Sqrt(dimension));
        return FromDensity(bits, value => Math.Pow(1 - (value * value), (dimension - 3) / 2.0), -support, support);
    }

    /// <summary>For angles of the levels of a polar code: uniform on a circle at level 1, of two radii of 2^(level - 2) pairs each behind it.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="level">1 to 16.</param>
    /// <returns>The codebook, of angles from 0 to 2π at level 1 and to π/2 behind it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static LloydMaxCodebook Polar(int bits, int level)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(level, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, 16);
        int power = (1 << (level - 1)) - 1;
        return level == 1
            ? FromDensity(bits, _ => 1, 0, 2 * Math.PI)
            : FromDensity(bits, angle => Math.Pow(Math.Sin(2 * angle), power), 0, Math.PI / 2);
    }

    /// <summary>For what is left of Gaussian numbers when another codebook has coded them: a second stage.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="first">The first stage, of numbers of mean 0 and variance 1.</param>
    /// <returns>The codebook of the differences.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static LloydMaxCodebook GaussianResidual(int bits, LloydMaxCodebook first)
    {
        ArgumentNullException.ThrowIfNull(first);
        float[] centroids = first._centroids, boundaries = first._boundaries;
        return FromDensity(bits, Density, -GaussianSupport, GaussianSupport);

        double Density(double difference)
        {
            double sum = 0;
            for (int i = 0; i < centroids.Length; i++)
            {
                double value = centroids[i] + difference;
                bool isInCell = (i == 0 || value >= boundaries[i - 1]) && (i == boundaries.Length || value < boundaries[i]);
                sum += isInCell ? GaussianDensity(value) : 0;
            }

            return sum;
        }
    }

    /// <summary>For a density of one's own.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="density">Zero or positive and finite; its integral need not be 1.</param>
    /// <param name="low">Where it begins.</param>
    /// <param name="high">Where it ends.</param>
    /// <returns>The codebook.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range, or the ends are in the wrong order.</exception>
    /// <exception cref="ArgumentException">The density is negative or not finite somewhere, or zero everywhere.</exception>
    public static LloydMaxCodebook FromDensity(int bits, Func<double, double> density, double low, double high)
    {
        CheckBits(bits);
        ArgumentNullException.ThrowIfNull(density);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(low, high);
        var moments = new DensityMoments(density, low, high);
        double[] centroids = LloydMaxSolver.Solve(moments, 1 << bits);
        return new LloydMaxCodebook(centroids, LloydMaxSolver.GetError(moments, centroids));
    }

    /// <summary>For numbers that were seen: what fits the data instead of a distribution.</summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="samples">Finite numbers, at least as many as codes.</param>
    /// <returns>The codebook.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    /// <exception cref="ArgumentException">There are too few samples, or one is not finite.</exception>
    public static LloydMaxCodebook FromSamples(int bits, ReadOnlySpan<float> samples)
    {
        CheckBits(bits);
        if (samples.Length < 1 << bits)
        {
            throw new ArgumentException($"There are {samples.Length} samples; a codebook of {bits} bits needs {1 << bits} at least.", nameof(samples));
        }

        for (int i = 0; i < samples.Length; i++)
        {
            if (!float.IsFinite(samples[i]))
            {
                throw new ArgumentException($"Sample {i} is {samples[i]}.", nameof(samples));
            }
        }

        var moments = new SampleMoments(samples);
        double[] centroids = LloydMaxSolver.Solve(moments, 1 << bits);
        return new LloydMaxCodebook(centroids, LloydMaxSolver.GetError(moments, centroids));
    }

    /// <summary>The codes of values; not-a-number has code 0.</summary>
    /// <param name="values">The values.</param>
    /// <param name="codes">Receives a code for each.</param>
    /// <exception cref="ArgumentException">There is not enough room.</exception>
    public void Encode(ReadOnlySpan<float> values, Span<byte> codes)
    {
        if (codes.Length < values.Length)
        {
            Throw.WrongLength("the room for codes", codes.Length, values.Length, nameof(codes));
        }

        Kernel.Assign(values, _boundaries, codes);
    }

    /// <summary>The numbers that codes stand for.</summary>
    /// <param name="codes">The codes, less than 2^<see cref="Bits"/>.</param>
    /// <param name="factor">What the numbers are multiplied with.</param>
    /// <param name="values">Receives a number for each.</param>
    /// <exception cref="ArgumentException">There is not enough room, or a code is too large.</exception>
    public void Decode(ReadOnlySpan<byte> codes, float factor, Span<float> values)
    {
        if (values.Length < codes.Length)
        {
            Throw.WrongLength("the room for values", values.Length, codes.Length, nameof(values));
        }

        if (Bits < MaxBits && codes.ContainsAnyInRange((byte)_centroids.Length, byte.MaxValue))
        {
            int at = codes.IndexOfAnyInRange((byte)_centroids.Length, byte.MaxValue);
            throw new ArgumentException($"Code {at} is {codes[at]}; there are {_centroids.Length}.", nameof(codes));
        }

        Kernel.LookUp(codes, _centroids, factor, values);
    }

    internal static double GaussianDensity(double value) => Math.Exp(-value * value / 2) / Math.Sqrt(2 * Math.PI);

    private static void CheckBits(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, MaxBits);
    }
}
