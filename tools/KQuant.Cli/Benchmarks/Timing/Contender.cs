using System.Diagnostics;

namespace KQuant.Cli.Benchmarks;

/// <summary>Something that is timed against others.</summary>
/// <param name="name">What it is, for a progress line.</param>
/// <param name="measure">Does the work a number of times and says how long it took, without what it had to prepare.</param>
internal sealed class Contender(string name, Func<int, TimeSpan> measure)
{
    private double _warmUpSeconds = double.PositiveInfinity;

    /// <param name="name">What it is, for a progress line.</param>
    /// <param name="repeat">Does the work a number of times.</param>
    public Contender(string name, Action<int> repeat)
        : this(name, repetitions =>
        {
            long start = Stopwatch.GetTimestamp();
            repeat(repetitions);
            return Stopwatch.GetElapsedTime(start);
        })
    {
    }

    public string Name { get; } = name;

    /// <summary>Seconds that the work took at its best.</summary>
    public double BestSeconds { get; private set; } = double.PositiveInfinity;

    /// <summary>How often the work is done between two looks at the clock.</summary>
    public int Repetitions { get; private set; } = 1;

    /// <summary>Does the work until the runtime has counted enough calls to compile it anew, but not for long.</summary>
    /// <returns>Whether it got much faster since the last time.</returns>
    public bool WarmUp()
    {
        const int CallsUntilOptimized = 40;
        const double MuchFaster = 0.8;
        TimeSpan patience = TimeSpan.FromMilliseconds(50);
        double before = _warmUpSeconds;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < CallsUntilOptimized && (i == 0 || Stopwatch.GetElapsedTime(start) < patience); i++)
        {
            _warmUpSeconds = Math.Min(_warmUpSeconds, Time());
        }

        return _warmUpSeconds < MuchFaster * before;
    }

    /// <summary>Sets <see cref="Repetitions"/> so that they take about as long as asked.</summary>
    public void Calibrate(TimeSpan duration)
    {
        const double MaxGrowth = 10, MinGrowth = 1.5;
        while (Time() is double seconds && seconds < duration.TotalSeconds)
        {
            double growth = Math.Clamp(1.2 * duration.TotalSeconds / Math.Max(seconds, 1e-7), MinGrowth, MaxGrowth);
            Repetitions = (int)Math.Min((Repetitions * growth) + 1, int.MaxValue / MaxGrowth);
        }
    }

    /// <summary>Does the repetitions once and keeps the time if it is the best yet.</summary>
    public void Run() => BestSeconds = Math.Min(BestSeconds, Time() / Repetitions);

    private double Time() => measure(Repetitions).TotalSeconds;
}
