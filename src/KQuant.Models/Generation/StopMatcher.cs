using System.Text;

namespace KQuant.Models.Generation;

/// <summary>
/// Looks for stop sequences in a text that comes in pieces, and holds back what may be the beginning of one.
/// </summary>
internal sealed class StopMatcher(IReadOnlyList<string> sequences)
{
    private readonly StringBuilder _held = new();

    /// <summary>The sequence that was complete first; null before one is.</summary>
    public string? Found { get; private set; }

    /// <summary>Takes the next piece of text.</summary>
    /// <param name="text">The piece.</param>
    /// <param name="isStopped">Whether a sequence is complete; the text ends before it.</param>
    /// <returns>The text that is certain now.</returns>
    public string Append(string text, out bool isStopped)
    {
        isStopped = false;
        if (sequences.Count == 0)
        {
            return text;
        }

        string all = _held.Append(text).ToString();
        int at = -1;
        foreach (string sequence in sequences)
        {
            int found = sequence.Length == 0 ? -1 : all.IndexOf(sequence, StringComparison.Ordinal);
            if (found >= 0 && (at < 0 || found < at))
            {
                (at, Found) = (found, sequence);
            }
        }

        if (at >= 0)
        {
            isStopped = true;
            _held.Clear();
            return all[..at];
        }

        int held = sequences.Max(sequence => LengthOfBeginning(all, sequence));
        _held.Clear().Append(all.AsSpan(all.Length - held));
        return all[..^held];
    }

    /// <summary>The text that was held back, when nothing follows.</summary>
    public string Flush()
    {
        string rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    /// <summary>How much of the end of a text is the beginning of a sequence.</summary>
    private static int LengthOfBeginning(string text, string sequence)
    {
        for (int length = Math.Min(text.Length, sequence.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(sequence.AsSpan(0, length)))
            {
                return length;
            }
        }

        return 0;
    }
}
