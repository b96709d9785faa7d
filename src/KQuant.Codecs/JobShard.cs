using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace KQuant.Codecs;

/// <summary>
/// The share of one of several processes that do a job together, each without knowing the others: <c>2/8</c> is the second of eight. Which
/// tensors or chunks of text belong to it follows from the job alone.
/// </summary>
public sealed record JobShard
{
    /// <summary>The most processes that a job is divided among.</summary>
    public const int MaxCount = 65_536;

    /// <summary>Creates a share.</summary>
    /// <param name="number">Which one it is, from 1.</param>
    /// <param name="count">How many there are.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such share.</exception>
    public JobShard(int number, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MaxCount);
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(number, count);
        (Number, Count) = (number, count);
    }

    /// <summary>Which one it is, from 1.</summary>
    public int Number { get; }

    /// <summary>How many there are.</summary>
    public int Count { get; }

    /// <summary>Reads <c>2/8</c>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="shard">The share, or null.</param>
    /// <returns>Whether it is one.</returns>
    public static bool TryParse(string? text, [NotNullWhen(true)] out JobShard? shard)
    {
        shard = null;
        if (text?.Split('/') is [string first, string second]
            && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            && count is >= 1 and <= MaxCount && number >= 1 && number <= count)
        {
            shard = new JobShard(number, count);
        }

        return shard is not null;
    }

    /// <summary>
    /// Where a process leaves its part of an output until all are put together: <c>OUTPUT.parts/part-00002-of-00008</c> and an extension.
    /// </summary>
    /// <param name="output">The folder or file that the parts will become.</param>
    /// <param name="extension">The extension, with its dot.</param>
    /// <returns>The path.</returns>
    public string GetPartPath(string output, string extension)
    {
        ArgumentException.ThrowIfNullOrEmpty(output);
        return Path.Combine(GetPartFolder(output), string.Create(CultureInfo.InvariantCulture, $"part-{Number:D5}-of-{Count:D5}{extension}"));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Number}/{Count}");

    /// <summary>Where the parts of an output lie.</summary>
    internal static string GetPartFolder(string output) => Path.TrimEndingDirectorySeparator(output) + ".parts";

    /// <summary>The part of a list of pieces that belongs to it: one run, as long as those of the others but for one piece.</summary>
    internal (int First, int Count) RangeOf(int pieces)
    {
        int first = (int)((long)pieces * (Number - 1) / Count);
        return (first, (int)((long)pieces * Number / Count) - first);
    }

    /// <summary>
    /// The indices of the pieces that belong to it when all shares get about equally much: the largest piece first, each to whom has the
    /// least.
    /// </summary>
    internal int[] Choose(IReadOnlyList<long> sizes)
    {
        var loads = new PriorityQueue<int, (long Load, int Share)>(Enumerable.Range(1, Count).Select(share => (share, (0L, share))));
        var chosen = new List<int>();
        foreach (int piece in Enumerable.Range(0, sizes.Count).OrderByDescending(i => sizes[i]).ThenBy(i => i))
        {
            loads.TryDequeue(out int share, out (long Load, int Share) load);
            loads.Enqueue(share, (load.Load + sizes[piece], share));
            if (share == Number)
            {
                chosen.Add(piece);
            }
        }

        return [.. chosen.Order()];
    }
}
