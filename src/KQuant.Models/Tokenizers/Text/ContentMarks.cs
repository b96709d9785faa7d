using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Keeps what people write apart from what a template writes: while a conversation is rendered, the characters of its texts that could begin
/// a control token are replaced by private-use characters that occur nowhere else. They have the length and the properties of signs, go
/// through filters, slices and concatenation like any other, match no token, and are put back when the result is encoded.
/// </summary>
/// <remarks>
/// A sign such as <c>&lt;</c> is replaced unless a text of the template or an ordinary added token stands there: <c>'&lt;think&gt;' in
/// content</c> finds what it looks for. A control token, also one that the end of a text cuts off, is replaced in any case, so that
/// a template that searches contents for the name of one does not find it. What a template builds from pieces that it cut out of a content
/// behind such a sign is not recognised as content.
/// </remarks>
internal sealed class ContentMarks
{
    private const char FirstStandIn = '\uE000', LastStandIn = '\uF8FF';

    private readonly Dictionary<int, char> _standIns = [];
    private readonly Dictionary<char, string> _originals = [];
    private readonly ILookup<int, string> _controls;
    private readonly ILookup<int, string> _exempt;
    private readonly bool _marksSigns;

    /// <summary>Chooses the characters.</summary>
    /// <param name="controls">Texts of control tokens.</param>
    /// <param name="others">Texts that stay: those of ordinary added tokens, and those that the template looks for.</param>
    /// <param name="isUsed">Whether a private-use character occurs in the template or the conversation.</param>
    /// <param name="marksSigns">Whether all signs are replaced that could begin a control token, not only complete ones.</param>
    public ContentMarks(IEnumerable<string> controls, IEnumerable<string> others, Func<char, bool> isUsed, bool marksSigns)
    {
        _marksSigns = marksSigns;
        _controls = controls.Where(text => text.Length > 0).ToLookup(First);
        _exempt = others.Where(text => text.Length > 1 && _controls.Contains(First(text))).ToLookup(First);
        char next = FirstStandIn;
        foreach (int first in _controls.Select(group => group.Key))
        {
            while (next <= LastStandIn && isUsed(next))
            {
                next++;
            }

            if (next > LastStandIn)
            {
                Lacks = true;
                return;
            }

            _standIns.Add(first, next);
            _originals.Add(next++, char.ConvertFromUtf32(first));
        }
    }

    /// <summary>Whether too few private-use characters are unused: then texts cannot be marked.</summary>
    public bool Lacks { get; }

    /// <summary>Whether a character of any text was replaced.</summary>
    public bool Any { get; private set; }

    /// <summary>A text with its dangerous characters replaced.</summary>
    public string Mark(string text)
    {
        StringBuilder? result = null;
        int copied = 0, end = text.AsSpan().TrimEnd().Length;
        for (int at = 0, length; at < text.Length; at += length)
        {
            int point = at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? char.ConvertToUtf32(text, at) : text[at];
            length = point > 0xFFFF ? 2 : 1;
            if (_standIns.TryGetValue(point, out char standIn) && Marks(text.AsSpan(at), text.AsSpan(at, Math.Max(0, end - at)), point))
            {
                (result ??= new StringBuilder(text.Length)).Append(text, copied, at - copied).Append(standIn);
                copied = at + length;
            }
        }

        if (result is null)
        {
            return text;
        }

        Any = true;
        return result.Append(text, copied, text.Length - copied).ToString();
    }

    /// <summary>Whether a character stands for another, and for which.</summary>
    public bool TryGetOriginal(char character, out string original) => _originals.TryGetValue(character, out original!);

    /// <summary>A text with the original characters.</summary>
    public string Restore(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange(FirstStandIn, LastStandIn) < 0)
        {
            return text;
        }

        var result = new StringBuilder(text.Length);
        foreach (char character in text)
        {
            _ = TryGetOriginal(character, out string original) ? result.Append(original) : result.Append(character);
        }

        return result.ToString();
    }

    private static int First(string text) => Rune.DecodeFromUtf16(text, out Rune rune, out _) == System.Buffers.OperationStatus.Done ? rune.Value : text[0];

    private bool Marks(ReadOnlySpan<char> rest, ReadOnlySpan<char> trimmed, int first)
    {
        if (_marksSigns && IsSign(first) && !BeginsAny(_exempt[first], rest))
        {
            return true;
        }

        foreach (string control in _controls[first])
        {
            if (rest.StartsWith(control, StringComparison.Ordinal)
                || (trimmed.Length > 0 && trimmed.Length < control.Length && control.AsSpan().StartsWith(trimmed, StringComparison.Ordinal)))
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsSign(int point) => Rune.IsValid(point) && (Rune.IsPunctuation(new Rune(point)) || Rune.IsSymbol(new Rune(point)));

    private static bool BeginsAny(IEnumerable<string> texts, ReadOnlySpan<char> rest)
    {
        foreach (string text in texts)
        {
            if (rest.StartsWith(text, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}
