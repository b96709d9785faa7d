using System.Globalization;
using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Rendering;

/// <summary>How far a run through a model has come, in words.</summary>
internal static class ProgressText
{
    private const int LongestName = 56, ShortestName = 8, ShortestBar = 6;

    /// <summary>One row of a terminal: the end of the tensor's name, a bar, how much, how fast and how long.</summary>
    /// <param name="progress">How far it is.</param>
    /// <param name="meter">What was measured.</param>
    /// <param name="width">Cells of the row; the last one stays free.</param>
    public static string Row(ModelProgress progress, ProgressMeter meter, int width)
    {
        string end = Percent(progress) + Speed(progress, meter);
        int room = width - 1 - end.Length - 1;
        if (room < ShortestName)
        {
            return end.Length < width ? end : Percent(progress);
        }

        int name = room - 1 - ShortestBar < ShortestName ? room : Math.Clamp(room / 2, ShortestName, LongestName), bar = room - name - 1;
        string text = Shorten(progress.TensorName, name);
        return bar < ShortestBar ? $"{text} {end}" : $"{text} {Bar(progress, bar)} {end}";
    }

    /// <summary>A line of a log.</summary>
    public static string Line(ModelProgress progress, ProgressMeter meter) =>
        $"{Percent(progress)}  {Amounts.Bytes(progress.BytesDone)} of {Amounts.Bytes(progress.TotalBytes)}{Speed(progress, meter)}  {PlainText.OneLine(progress.TensorName)}";

    private static string Percent(ModelProgress progress) =>
        string.Create(CultureInfo.InvariantCulture, $"{(progress.TotalBytes == 0 ? 100 : 100 * progress.BytesDone / progress.TotalBytes),3} %");

    private static string Speed(ModelProgress progress, ProgressMeter meter) =>
        meter.Rate is double rate && meter.Left(progress.TotalBytes) is TimeSpan left
            ? $"  {Amounts.Bytes((long)rate)}/s  {left.ToString(left.TotalHours < 1 ? @"m\:ss" : left.TotalDays < 1 ? @"h\:mm\:ss" : @"d\.hh\:mm\:ss", CultureInfo.InvariantCulture)} left"
            : "";

    private static string Bar(ModelProgress progress, int width)
    {
        int full = progress.TotalBytes == 0 ? width : (int)(width * (double)progress.BytesDone / progress.TotalBytes);
        return new string('\u2501', full) + new string('\u2500', width - full);
    }

    // The end of a name tells more than its beginning.
    private static string Shorten(string name, int width)
    {
        Rune[] runes = [.. PlainText.OneLine(name).EnumerateRunes()];
        int cells = runes.Sum(CellWidth.Of), first = 0;
        bool isShort = cells > width;
        while (cells > width - (isShort ? 1 : 0))
        {
            cells -= CellWidth.Of(runes[first++]);
        }

        string text = string.Concat(runes.Skip(first).Select(rune => rune.ToString()));
        return (isShort ? "\u2026" : "") + text + new string(' ', width - cells - (isShort ? 1 : 0));
    }
}
