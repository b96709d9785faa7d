using System.Runtime.CompilerServices;

namespace KQuant.Models.Tokenizers;

/// <summary>Code points of text that is known to be valid UTF-8.</summary>
internal static class ValidUtf8
{
    /// <summary>The code point that begins at an index.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="at">Where a code point begins.</param>
    /// <param name="length">Its bytes, 1 to 4.</param>
    /// <returns>The code point.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CodePointAt(ReadOnlySpan<byte> text, int at, out int length)
    {
        int first = text[at];
        if (first < 0x80)
        {
            length = 1;
            return first;
        }

        return LongCodePointAt(text, at, out length);
    }

    /// <summary>Bytes of the code point that begins with a byte.</summary>
    public static int LengthFrom(byte first) => first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;

    /// <summary>Where the code point before an index begins.</summary>
    public static int Previous(ReadOnlySpan<byte> text, int at)
    {
        do
        {
            at--;
        }
        while ((text[at] & 0xC0) == 0x80);
        return at;
    }

    private static int LongCodePointAt(ReadOnlySpan<byte> text, int at, out int length)
    {
        int first = text[at];
        if (first < 0xE0)
        {
            length = 2;
            return ((first & 0x1F) << 6) | (text[at + 1] & 0x3F);
        }

        if (first < 0xF0)
        {
            length = 3;
            return ((first & 0xF) << 12) | ((text[at + 1] & 0x3F) << 6) | (text[at + 2] & 0x3F);
        }

        length = 4;
        return ((first & 7) << 18) | ((text[at + 1] & 0x3F) << 12) | ((text[at + 2] & 0x3F) << 6) | (text[at + 3] & 0x3F);
    }
}
