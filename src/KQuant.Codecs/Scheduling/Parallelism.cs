namespace KQuant.Codecs.Scheduling;

/// <summary>What <c>MaxDegreeOfParallelism</c> means everywhere: -1 for as many threads as there are processors, a positive number for at most so many.</summary>
internal static class Parallelism
{
    /// <summary>As many threads as there are processors.</summary>
    public const int All = -1;

    /// <summary>The value, if it is one.</summary>
    /// <param name="value">-1 or a positive number.</param>
    /// <param name="name">The property or parameter that was given it.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is 0 or less than -1.</exception>
    public static int Checked(int value, string name) => value is All or > 0
        ? value
        : throw new ArgumentOutOfRangeException(
            name, value, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{name} is {value}; it must be -1, for one thread per processor, or a positive limit."));

    /// <summary>The number of threads that a checked value allows.</summary>
    public static int Resolve(int value) => value == All ? Environment.ProcessorCount : value;
}
