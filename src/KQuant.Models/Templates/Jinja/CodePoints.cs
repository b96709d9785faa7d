using System.Globalization;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>Strings as Python sees them: sequences of code points, not of UTF-16 units.</summary>
internal static class CodePoints
{
    private static readonly string[] Units = [.. Enumerable.Range(0, 256).Select(unit => ((char)unit).ToString())];

    /// <summary>Whether each unit is a code point, so that units can be counted.</summary>
    public static bool AreUnits(string text) => text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0;

    public static int Count(string text)
    {
        int count = text.Length;
        if (!AreUnits(text))
        {
            for (int i = 1; i < text.Length; i++)
            {
                count -= char.IsSurrogatePair(text[i - 1], text[i]) ? 1 : 0;
            }
        }

        return count;
    }

    /// <summary>The code points as strings.</summary>
    public static string[] Split(string text)
    {
        var result = new List<string>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            bool isPair = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]);
            result.Add(isPair ? text.Substring(i, 2) : OfUnit(text[i]));
            i += isPair ? 1 : 0;
        }

        return [.. result];
    }

    /// <summary>The code point at an index that counts code points; null if there are not so many.</summary>
    public static string? At(string text, long index)
    {
        for (int i = 0; i < text.Length; i++, index--)
        {
            bool isPair = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]);
            if (index == 0)
            {
                return isPair ? text.Substring(i, 2) : OfUnit(text[i]);
            }

            i += isPair ? 1 : 0;
        }

        return null;
    }

    /// <summary>A unit as a string.</summary>
    public static string OfUnit(char unit) => unit < Units.Length ? Units[unit] : unit.ToString();

    /// <summary>The order of code points, which is not that of UTF-16 units.</summary>
    public static int Compare(string a, string b)
    {
        int length = Math.Min(a.Length, b.Length);
        for (int i = 0; i < length; i++)
        {
            if (a[i] != b[i])
            {
                bool highA = char.IsSurrogate(a[i]), highB = char.IsSurrogate(b[i]);
                return highA != highB ? highA ? 1 : -1 : a[i].CompareTo(b[i]);
            }
        }

        return a.Length.CompareTo(b.Length);
    }

    /// <summary><c>str.upper</c>: with the special cases that become longer.</summary>
    public static string Upper(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            _ = rune.Value switch
            {
                'ß' => result.Append("SS"),
                0x149 => result.Append("\u02BCN"),
                >= 0xFB00 and <= 0xFB06 => result.Append(((string[])["FF", "FI", "FL", "FFI", "FFL", "ST", "ST"])[rune.Value - 0xFB00]),
                _ => result.Append(Rune.ToUpperInvariant(rune).ToString()),
            };
        }

        return result.ToString();
    }

    /// <summary><c>str.lower</c>: a capital sigma at the end of a word becomes the final one.</summary>
    public static string Lower(string text)
    {
        var result = new StringBuilder(text.Length);
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            _ = rune.Value switch
            {
                0x130 => result.Append("i\u0307"),
                0x3A3 => result.Append(IsFinal(text, at) ? '\u03C2' : '\u03C3'),
                _ => result.Append(Rune.ToLowerInvariant(rune).ToString()),
            };
            at += rune.Utf16SequenceLength;
        }

        return result.ToString();
    }

    /// <summary>The first code point of a word in title case.</summary>
    public static string Title(string point) => point switch
    {
        "ß" => "Ss",
        "ǆ" or "ǅ" or "Ǆ" => "ǅ",
        "ǉ" or "ǈ" or "Ǉ" => "ǈ",
        "ǌ" or "ǋ" or "Ǌ" => "ǋ",
        "ǳ" or "ǲ" or "Ǳ" => "ǲ",
        _ when Upper(point) is { Length: 2 or 3 } longer && AreUnits(longer) => longer[..1] + Lower(longer[1..]),
        _ => Upper(point),
    };

    /// <summary>Whether Python counts it as cased.</summary>
    public static bool IsCased(string point) => Category(point) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter
        or UnicodeCategory.TitlecaseLetter;

    public static bool IsUpper(string point) => Category(point) is UnicodeCategory.UppercaseLetter;

    public static bool IsLower(string point) => Category(point) is UnicodeCategory.LowercaseLetter;

    public static UnicodeCategory Category(string point) => CharUnicodeInfo.GetUnicodeCategory(point, 0);

    private static bool IsFinal(string text, int at)
    {
        static bool Ignorable(char c) => char.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark
            or UnicodeCategory.Format or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol || c is '\'' or '.' or ':' or '\u00B7' or '\u2019';
        int before = at - 1, after = at + 1;
        while (before >= 0 && Ignorable(text[before]))
        {
            before--;
        }

        while (after < text.Length && Ignorable(text[after]))
        {
            after++;
        }

        static bool Cased(char c) => char.IsUpper(c) || char.IsLower(c);
        return before >= 0 && Cased(text[before]) && !(after < text.Length && Cased(text[after]));
    }
}
