using KQuant.Codecs.Files;

namespace KQuant.Cli.Rendering;

/// <summary>Progress on a terminal: one row, as wide as the terminal is at the moment, written over and over again and gone in the end.</summary>
internal sealed class ProgressRow(TextWriter error, TimeProvider time, Func<int> width) : IProgress<ModelProgress>
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly ProgressMeter _meter = new();
    private readonly Lock _writing = new();
    private readonly long _start = time.GetTimestamp();
    private TimeSpan? _shown;

    public void Report(ModelProgress value)
    {
        lock (_writing)
        {
            TimeSpan now = time.GetElapsedTime(_start);
            _meter.Add(now, value.BytesDone);
            if (_shown is null || now - _shown >= Interval)
            {
                _shown = now;
                error.Write($"\r{ProgressText.Row(value, _meter, width())}\u001b[K");
                error.Flush();
            }
        }
    }

    /// <summary>Leaves the row as it was before.</summary>
    public void Clear()
    {
        lock (_writing)
        {
            if (_shown is not null)
            {
                error.Write("\r\u001b[K");
                error.Flush();
            }
        }
    }
}
