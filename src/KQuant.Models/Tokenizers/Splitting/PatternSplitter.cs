using System.Runtime.InteropServices;

namespace KQuant.Models.Tokenizers;

/// <summary>A part of a text: a match of a pattern, or what lies between two.</summary>
internal record struct TextPart(int Start, int End, bool IsMatch);

/// <summary>Cuts at the matches of a pattern, with the five behaviours of Hugging Face's <c>Split</c>.</summary>
internal abstract class PatternSplitter(SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        var parts = new List<TextPart>();
        Find(piece, parts);
        if (invert)
        {
            foreach (ref TextPart part in CollectionsMarshal.AsSpan(parts))
            {
                part.IsMatch = !part.IsMatch;
            }
        }

        Apply(CollectionsMarshal.AsSpan(parts));
        foreach (TextPart part in parts)
        {
            if (behavior != SplitBehavior.Removed || !part.IsMatch)
            {
                next.Accept(piece[part.Start..part.End]);
            }
        }
    }

    /// <summary>Covers a text with matches and gaps.</summary>
    protected abstract void Find(ReadOnlySpan<byte> text, List<TextPart> parts);

    /// <summary>Adds a match and the gap before it.</summary>
    protected static void AddMatch(List<TextPart> parts, int start, int end)
    {
        AddGap(parts, start);
        parts.Add(new TextPart(start, end, true));
    }

    /// <summary>Adds the gap behind the last match.</summary>
    protected static void AddGap(List<TextPart> parts, int end)
    {
        int at = parts.Count == 0 ? 0 : parts[^1].End;
        if (at < end)
        {
            parts.Add(new TextPart(at, end, false));
        }
    }

    /// <summary>Joins parts: the one that is joined becomes empty.</summary>
    private void Apply(Span<TextPart> parts)
    {
        switch (behavior)
        {
            case SplitBehavior.MergedWithPrevious:
                for (int i = 1, into = 0; i < parts.Length; i++)
                {
                    into = Join(parts, i, into, parts[i].IsMatch && !parts[i - 1].IsMatch);
                }

                break;
            case SplitBehavior.MergedWithNext:
                for (int i = parts.Length - 2, into = i + 1; i >= 0; i--)
                {
                    into = Join(parts, i, into, parts[i].IsMatch && !parts[i + 1].IsMatch);
                }

                break;
            case SplitBehavior.Contiguous:
                for (int i = 1, into = 0; i < parts.Length; i++)
                {
                    into = Join(parts, i, into, parts[i].IsMatch == parts[i - 1].IsMatch);
                }

                break;
        }
    }

    private static int Join(Span<TextPart> parts, int part, int into, bool joins)
    {
        if (!joins)
        {
            return part;
        }

        ref TextPart target = ref parts[into];
        target = target with { Start = Math.Min(target.Start, parts[part].Start), End = Math.Max(target.End, parts[part].End) };
        parts[part] = parts[part] with { End = parts[part].Start };
        return into;
    }
}

/// <summary>Cuts at every occurrence of a text.</summary>
internal sealed class LiteralSplitter(byte[] pattern, SplitBehavior behavior, bool invert) : PatternSplitter(behavior, invert)
{
    protected override void Find(ReadOnlySpan<byte> text, List<TextPart> parts)
    {
        int at = 0;
        for (int found; (found = text[at..].IndexOf(pattern)) >= 0; at += found + pattern.Length)
        {
            AddMatch(parts, at + found, at + found + pattern.Length);
        }

        AddGap(parts, text.Length);
    }
}

/// <summary>Cuts at every match of a regular expression.</summary>
internal sealed class RegexSplitter(RegexMatcher matcher, SplitBehavior behavior, bool invert) : PatternSplitter(behavior, invert)
{
    protected override void Find(ReadOnlySpan<byte> text, List<TextPart> parts)
    {
        using RegexMatcher.Matches matches = matcher.Match(text);
        while (matches.MoveNext())
        {
            AddMatch(parts, matches.Start, matches.End);
        }

        AddGap(parts, text.Length);
    }
}

/// <summary>Which characters a <see cref="CharacterSplitter"/> cuts at.</summary>
internal enum SplitCharacters
{
    /// <summary>ASCII punctuation and symbols, and all other punctuation.</summary>
    Punctuation,

    /// <summary>White space.</summary>
    WhiteSpace,
}

/// <summary>Cuts at every character of a kind.</summary>
internal sealed class CharacterSplitter(SplitCharacters characters, SplitBehavior behavior) : PatternSplitter(behavior, invert: false)
{
    protected override void Find(ReadOnlySpan<byte> text, List<TextPart> parts)
    {
        for (int at = 0; at < text.Length;)
        {
            CharacterClass here = CharacterClasses.At(text, at, out int length);
            CharacterClass wanted = characters == SplitCharacters.WhiteSpace ? CharacterClass.Space
                : text[at] < 0x80 ? CharacterClass.Punctuation | CharacterClass.Symbol
                : CharacterClass.Punctuation;
            if ((here & wanted) != 0)
            {
                AddMatch(parts, at, at + length);
            }

            at += length;
        }

        AddGap(parts, text.Length);
    }
}

/// <summary><c>\w+|[^\w\s]+</c>: words and runs of other characters, without the white space between them.</summary>
internal sealed class WhitespaceSplitter : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        int start = 0, previous = 0;
        for (int at = 0; at < piece.Length;)
        {
            int point = ValidUtf8.CodePointAt(piece, at, out int length);
            int kind = (CharacterClasses.Of(point) & CharacterClass.Space) != 0 ? 0 : CharacterClasses.IsWord(point) ? 1 : 2;
            if (kind != previous)
            {
                next.Accept(previous == 0 ? [] : piece[start..at]);
                (start, previous) = (at, kind);
            }

            at += length;
        }

        next.Accept(previous == 0 ? [] : piece[start..]);
    }
}
