namespace KQuant.Models.Tokenizers;

/// <summary>
/// GPT-2's printable character for each byte: the printable ones of Latin-1 stand for themselves, the other 68 are U+0100 and the following.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] Characters = Make();
    private static readonly short[] Bytes = Invert();

    /// <summary>The character of a byte.</summary>
    public static char ToCharacter(byte value) => Characters[value];

    /// <summary>The bytes that a spelling stands for.</summary>
    /// <param name="spelling">UTF-8.</param>
    /// <param name="result">Takes the bytes; at least as long as the spelling.</param>
    /// <param name="written">How many there are.</param>
    /// <returns>False if a character is not of the alphabet.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> spelling, Span<byte> result, out int written)
    {
        written = 0;
        for (int at = 0; at < spelling.Length;)
        {
            if (spelling[at] >= 0xE0 || (spelling[at] >= 0x80 && at + 1 == spelling.Length))
            {
                return false;
            }

            int point = ValidUtf8.CodePointAt(spelling, at, out int length);
            if (point >= Bytes.Length || Bytes[point] < 0)
            {
                return false;
            }

            result[written++] = (byte)Bytes[point];
            at += length;
        }

        return true;
    }

    private static char[] Make()
    {
        var characters = new char[256];
        int next = 0x100;
        for (int value = 0; value < characters.Length; value++)
        {
            bool printable = value is >= 33 and <= 126 or >= 161 and <= 172 or >= 174;
            characters[value] = (char)(printable ? value : next++);
        }

        return characters;
    }

    private static short[] Invert()
    {
        var bytes = new short[0x144];
        Array.Fill(bytes, (short)-1);
        for (int value = 0; value < Characters.Length; value++)
        {
            bytes[Characters[value]] = (short)value;
        }

        return bytes;
    }
}
