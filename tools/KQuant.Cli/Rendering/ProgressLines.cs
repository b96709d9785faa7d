using KQuant.Codecs.Files;

namespace KQuant.Cli.Rendering;

/// <summary>Progress where there is no terminal: a line every few seconds, and none of work that is done before the first one.</summary>
internal sealed class ProgressLines(TextWriter error, TimeProvider time) : IProgress<ModelProgress>
{
    /// <summary>From the beginning to the first line, and from line to line.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    private readonly ProgressMeter _meter = new();
    private readonly Lock _writing = new();
    private readonly long _start = time.GetTimestamp();
    private TimeSpan _next = Interval;

    public void Report(ModelProgress value)
    {
        lock (_writing)
        {
            TimeSpan now = time.GetElapsedTime(_start);
            _meter.Add(now, value.BytesDone);
            if (now >= _next)
            {
                _next = now + Interval;
                error.WriteLine(ProgressText.Line(value, _meter));
            }
        }
    }
}
