using System.Globalization;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>Text of an untrusted file made fit for a message: short, on one line, and without control characters for a terminal.</summary>
internal static class Printable
{
    private const int MaxLength = 120;

    public static string Shorten(string text) => Shorten(text.AsSpan());

    public static string Shorten(ReadOnlySpan<byte> utf8) =>
        Shorten(System.Text.Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, 4 * MaxLength)]));

    public static string Shorten(ReadOnlySpan<char> text)
    {
        bool cut = text.Length > MaxLength;
        var result = new StringBuilder(MaxLength + 1);
        foreach (char c in cut ? text[..MaxLength] : text)
        {
            bool harmless = char.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate);
            result.Append(harmless ? c : '\uFFFD');
        }

        return cut ? result.Append('\u2026').ToString() : result.ToString();
    }
}
