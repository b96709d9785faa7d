using System.Globalization;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>BERT's cleaning: control characters out, white space to spaces, and spaces around Chinese characters.</summary>
/// <param name="cleans">Whether to clean.</param>
/// <param name="separatesChinese">Whether to put the spaces.</param>
internal sealed class BertNormalizer(bool cleans, bool separatesChinese) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        for (int at = 0, length; at < text.Length; at += length)
        {
            int point = ValidUtf8.CodePointAt(text, at, out length);
            if (cleans && IsRemoved(point))
            {
                continue;
            }

            if (cleans && Rune.IsWhiteSpace(new Rune(point)))
            {
                result.Add((byte)' ');
                continue;
            }

            bool isApart = separatesChinese && IsChinese(point);
            result.Add(isApart ? " "u8 : []);
            result.Add(text.Slice(at, length));
            result.Add(isApart ? " "u8 : []);
        }

        return true;
    }

    private static bool IsRemoved(int point) => point is 0 or 0xFFFD || (point is not ('\t' or '\n' or '\r')
        && CharUnicodeInfo.GetUnicodeCategory(point) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse);

    // The gap before U+2B920 is the original's.
    private static bool IsChinese(int point) => point is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x2A6DF
        or >= 0x2A700 and <= 0x2B73F or >= 0x2B740 and <= 0x2B81F or >= 0x2B920 and <= 0x2CEAF or >= 0xF900 and <= 0xFAFF or >= 0x2F800 and <= 0x2FA1F;
}

/// <summary>Takes marks out.</summary>
/// <param name="nonSpacingOnly">Whether marks with a width of their own, and those around characters, stay.</param>
internal sealed class MarkRemover(bool nonSpacingOnly) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        for (int at = 0, length; at < text.Length; at += length)
        {
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(ValidUtf8.CodePointAt(text, at, out length));
            bool removes = category == UnicodeCategory.NonSpacingMark
                || (!nonSpacingOnly && category is UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark);
            if (!removes)
            {
                result.Add(text.Slice(at, length));
            }
        }

        return true;
    }
}

/// <summary>The cleaning of SentencePiece's <c>nmt</c> rules.</summary>
internal sealed class NmtNormalizer : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        for (int at = 0, length; at < text.Length; at += length)
        {
            int point = ValidUtf8.CodePointAt(text, at, out length);
            if (point is >= 1 and <= 8 or 0xB or >= 0xE and <= 0x1F or 0x7F or 0x8F or 0x9F)
            {
                continue;
            }

            bool isSpace = point is 9 or 0xA or 0xC or 0xD or 0x1680 or >= 0x200B and <= 0x200F or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD;
            result.Add(isSpace ? " "u8 : text.Slice(at, length));
        }

        return true;
    }
}
