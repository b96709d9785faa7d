using System.Globalization;
using static System.FormattableString;

namespace KQuant.Models.Grammars;

/// <summary>Rules for numbers between bounds.</summary>
internal static class JsonNumbers
{
    /// <summary>Numbers with so many digits are exact in a double.</summary>
    private const long Largest = 999_999_999_999_999;

    /// <summary>Whole numbers from one to another, both included.</summary>
    public static string Integers(decimal least, decimal most)
    {
        long low = (long)Math.Max(-Largest, decimal.Ceiling(least)), high = (long)Math.Min(Largest, decimal.Floor(most));
        var parts = new List<string>();
        if (low < 0)
        {
            parts.AddRange(Naturals(Math.Max(1, -high), -low).Select(part => "\"-\" " + part));
        }

        if (high >= 0)
        {
            parts.AddRange(Naturals(Math.Max(0, low), high));
        }

        return parts.Count == 0 ? "" : "( " + string.Join(" | ", parts) + " )";
    }

    /// <summary>Numbers between bounds, also with digits behind the point.</summary>
    /// <param name="least">The least.</param>
    /// <param name="most">The largest.</param>
    /// <param name="excludesLeast">Whether the least is none.</param>
    /// <param name="excludesMost">Whether the largest is none.</param>
    public static string Numbers(decimal least, decimal most, bool excludesLeast, bool excludesMost)
    {
        decimal low = decimal.Ceiling(least), high = decimal.Floor(most);
        var parts = new List<string>();
        string whole = Integers(excludesLeast && low == least ? low + 1 : low, excludesMost && high == most ? high - 1 : high);
        if (whole.Length > 0)
        {
            parts.Add(whole);
        }

        // Between two whole numbers within the bounds any digits may follow, but for those that make one of them.
        const string fraction = "\".\" [0-9]{0,13} [1-9]";
        if (high - 1 >= Math.Max(0, low) && Integers(Math.Max(0, low), high - 1) is { Length: > 0 } above)
        {
            parts.Add($"{above} {fraction}");
        }

        if (low + 1 <= Math.Min(0, high) && Integers(Math.Max(0, -high), -low - 1) is { Length: > 0 } below)
        {
            parts.Add($"\"-\" {below} {fraction}");
        }

        return parts.Count == 0 ? "" : "( " + string.Join(" | ", parts) + " )";
    }

    /// <summary>Numbers of digits from one to another: parts that have free digits behind a beginning.</summary>
    private static IEnumerable<string> Naturals(long low, long high)
    {
        for (long at = low; at <= high;)
        {
            // The largest block of ten, a hundred, ... that begins here, has one number of digits, and ends in time.
            long size = 1;
            while (at % (size * 10) == 0 && at > 0 && at + (size * 10) - 1 <= high && at.ToString(CultureInfo.InvariantCulture).Length
                == (at + (size * 10) - 1).ToString(CultureInfo.InvariantCulture).Length)
            {
                size *= 10;
            }

            // Several such blocks are a range of their last digit.
            long digit = at / size % 10, last = digit;
            while (last < 9 && at + ((last - digit + 2) * size) - 1 <= high)
            {
                last++;
            }

            string head = (at / size / 10) is > 0 and long front ? Invariant($"\"{front}\" ") : "";
            int free = (int)Math.Round(Math.Log10(size));
            yield return head + Invariant($"[{digit}-{last}]") + (free == 0 ? "" : Invariant($" [0-9]{{{free}}}"));
            at += (last - digit + 1) * size;
        }
    }
}
