namespace KQuant.Codecs.Rotations;

/// <summary>
/// Independent numbers of the normal distribution by Marsaglia's polar method, the same for a seed on every machine: of what IEEE 754 leaves to
/// libraries nothing is called.
/// </summary>
/// <param name="seed">The seed.</param>
internal sealed class GaussianNumbers(ulong seed)
{
    private const double Ln2 = 0.693147180559945309417232;

    private ulong _counter;
    private double? _spare;

    /// <summary>The next number.</summary>
    public double Next()
    {
        if (_spare is { } spare)
        {
            _spare = null;
            return spare;
        }

        while (true)
        {
            (uint first, uint second) = Threefry.Get(seed, (uint)(_counter >> 32), (uint)_counter);
            _counter++;
            double x = ToUniform(first), y = ToUniform(second), square = (x * x) + (y * y);
            if (square < 1)
            {
                double factor = Math.Sqrt(-2 * Log(square) / square);
                _spare = y * factor;
                return x * factor;
            }
        }
    }

    /// <summary>The natural logarithm of a positive normal number: twice the inverse hyperbolic tangent of (m - 1) / (m + 1).</summary>
    internal static double Log(double value)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52) - 1023;
        double mantissa = BitConverter.Int64BitsToDouble((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
        if (mantissa > 1.4142135623730951)
        {
            mantissa *= 0.5;
            exponent++;
        }

        double t = (mantissa - 1) / (mantissa + 1), square = t * t, sum = 0;
        for (int power = 25; power > 0; power -= 2)
        {
            sum = (sum * square) + (1.0 / power);
        }

        return (exponent * Ln2) + (2 * t * sum);
    }

    // Between -1 and 1, and never 0.
    private static double ToUniform(uint word) => ((word + 0.5) / 2147483648.0) - 1;
}
