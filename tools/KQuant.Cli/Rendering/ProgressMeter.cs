namespace KQuant.Cli.Rendering;

/// <summary>How fast something went during the last seconds, and what is left at that rate. The clock is the caller's.</summary>
internal sealed class ProgressMeter
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(5), Step = TimeSpan.FromMilliseconds(100);

    /// <summary>What the first figures are taken from: less is a matter of chance.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(2);

    private readonly Queue<(TimeSpan At, long Done)> _samples = new();
    private (TimeSpan At, long Done) _last;
    private TimeSpan _sampled = TimeSpan.MinValue;

    /// <summary>How much per second; null as long as nobody can tell.</summary>
    public double? Rate
    {
        get
        {
            (TimeSpan at, long done) = _samples.Count > 0 ? _samples.Peek() : default;
            return _samples.Count > 0 && _last.At - at >= Least && _last.Done > done ? (_last.Done - done) / (_last.At - at).TotalSeconds : null;
        }
    }

    /// <summary>Takes note of how far it is.</summary>
    /// <param name="now">The time, from any beginning.</param>
    /// <param name="done">How much is done.</param>
    public void Add(TimeSpan now, long done)
    {
        _last = (now, done);
        if (_samples.Count == 0 || now - _sampled >= Step)
        {
            _samples.Enqueue(_last);
            _sampled = now;
        }

        // One sample from before the window stays, so that the rate is that of all of it.
        while (_samples.Count > 1 && now - _samples.ElementAt(1).At >= Window)
        {
            _samples.Dequeue();
        }
    }

    /// <summary>How long the rest takes.</summary>
    public TimeSpan? Left(long total) => Rate is double rate ? TimeSpan.FromSeconds(Math.Min((total - _last.Done) / rate, 3e7)) : null;
}
