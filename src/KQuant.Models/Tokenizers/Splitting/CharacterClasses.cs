using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The classes of all code points, in pages that are filled when first asked for. .NET 10 and the official tokenizers both know Unicode 16.
/// </summary>
internal static class CharacterClasses
{
    private const int PageBits = 8;
    private static readonly byte[] FirstPage = MakePage(0);
    private static readonly byte[]?[] Pages = new byte[0x110000 >> PageBits][];

    /// <summary>The classes of the code point that begins at an index.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="at">Where a code point begins.</param>
    /// <param name="length">Its bytes, 1 to 4.</param>
    /// <returns>Its classes.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharacterClass At(ReadOnlySpan<byte> text, int at, out int length)
    {
        byte first = text[at];
        if (first < 0x80)
        {
            length = 1;
            return (CharacterClass)FirstPage[first];
        }

        return Of(ValidUtf8.CodePointAt(text, at, out length));
    }

    /// <summary>The classes of a code point.</summary>
    public static CharacterClass Of(int codePoint)
    {
        // Two threads may fill the same page; they fill it with the same values.
        byte[] page = Pages[codePoint >> PageBits] ??= MakePage(codePoint >> PageBits);
        return (CharacterClass)page[codePoint & ((1 << PageBits) - 1)];
    }

    /// <summary>Whether a code point is <c>\w</c>: alphabetic, a mark, decimal digit, connector or joiner.</summary>
    public static bool IsWord(int codePoint) =>
        (Of(codePoint) & (CharacterClass.Letter | CharacterClass.Mark)) != 0
        || CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
        {
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.ConnectorPunctuation or UnicodeCategory.LetterNumber => true,
            UnicodeCategory.OtherSymbol => codePoint is >= 0x24B6 and <= 0x24E9 or >= 0x1F130 and <= 0x1F149 or >= 0x1F150 and <= 0x1F169
                or >= 0x1F170 and <= 0x1F189,
            _ => codePoint is 0x200C or 0x200D,
        };

    private static byte[] MakePage(int page)
    {
        var classes = new byte[1 << PageBits];
        for (int i = 0; i < classes.Length; i++)
        {
            int codePoint = (page << PageBits) + i;
            bool isSpace = Rune.IsValid(codePoint) && Rune.IsWhiteSpace(new Rune(codePoint));
            classes[i] = (byte)(ClassesOf(CharUnicodeInfo.GetUnicodeCategory(codePoint)) | (isSpace ? CharacterClass.Space : 0));
        }

        return classes;
    }

    private static CharacterClass ClassesOf(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.TitlecaseLetter => CharacterClass.Letter | CharacterClass.Upper,
        UnicodeCategory.LowercaseLetter => CharacterClass.Letter | CharacterClass.Lower,
        UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CharacterClass.Letter,
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => CharacterClass.Mark,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterClass.Number,
        UnicodeCategory.ConnectorPunctuation or UnicodeCategory.DashPunctuation or UnicodeCategory.OpenPunctuation
            or UnicodeCategory.ClosePunctuation or UnicodeCategory.InitialQuotePunctuation or UnicodeCategory.FinalQuotePunctuation
            or UnicodeCategory.OtherPunctuation => CharacterClass.Punctuation,
        UnicodeCategory.MathSymbol or UnicodeCategory.CurrencySymbol or UnicodeCategory.ModifierSymbol
            or UnicodeCategory.OtherSymbol => CharacterClass.Symbol,
        _ => CharacterClass.None,
    };
}
