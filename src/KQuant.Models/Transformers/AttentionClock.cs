using System.Diagnostics;

namespace KQuant.Models.Transformers;

/// <summary>
/// Adds up the time that softmax attention takes on the processor: scores, softmax and weighted sums, without the products around them. What
/// a backend computes by itself is not seen.
/// </summary>
internal sealed class AttentionClock
{
    private long _ticks;

    /// <summary>The time by the clock that <see cref="Add"/> looks at.</summary>
    public static long Now => Stopwatch.GetTimestamp();

    /// <summary>The time up to now.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(0, _ticks);

    /// <summary>Adds the time since <paramref name="start"/>.</summary>
    public void Add(long start) => _ticks += Now - start;
}
