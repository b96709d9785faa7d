using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>Replaces every occurrence of a text.</summary>
internal sealed class ReplaceNormalizer(byte[] pattern, byte[] content) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        int found = text.IndexOf(pattern);
        if (found < 0)
        {
            return false;
        }

        for (; found >= 0; found = text.IndexOf(pattern))
        {
            result.Add(text[..found]);
            result.Add(content);
            text = text[(found + pattern.Length)..];
        }

        result.Add(text);
        return true;
    }
}

/// <summary>Replaces every match of a regular expression by a text.</summary>
internal sealed class RegexReplaceNormalizer(RegexMatcher matcher, byte[] content) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        int at = 0;
        using RegexMatcher.Matches matches = matcher.Match(text);
        bool any = false;
        while (matches.MoveNext())
        {
            result.Add(text[at..matches.Start]);
            result.Add(content);
            at = matches.End;
            any = true;
        }

        if (any)
        {
            result.Add(text[at..]);
        }

        return any;
    }
}

/// <summary>Puts texts in front and behind, unless there is nothing to put them around.</summary>
internal sealed class SurroundNormalizer(byte[] before, byte[] after) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        if (text.IsEmpty)
        {
            return false;
        }

        result.Add(before);
        result.Add(text);
        result.Add(after);
        return true;
    }
}

/// <summary>Takes white space off the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        int start = 0, end = text.Length;
        while (left && start < end && (CharacterClasses.At(text, start, out int length) & CharacterClass.Space) != 0)
        {
            start += length;
        }

        while (right && end > start && (CharacterClasses.At(text, ValidUtf8.Previous(text, end), out _) & CharacterClass.Space) != 0)
        {
            end = ValidUtf8.Previous(text, end);
        }

        if (start == 0 && end == text.Length)
        {
            return false;
        }

        result.Add(text[start..end]);
        return true;
    }
}

/// <summary>Lower case, code point by code point: no rule for a final sigma, and the dotted capital I becomes two code points.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        for (int at = 0; at < text.Length;)
        {
            int point = ValidUtf8.CodePointAt(text, at, out int length);
            if (point == 0x130)
            {
                result.Add("i\u0307"u8);
            }
            else
            {
                result.Advance(Rune.ToLowerInvariant(new Rune(point)).EncodeToUtf8(result.Reserve(4)));
            }

            at += length;
        }

        return true;
    }
}
