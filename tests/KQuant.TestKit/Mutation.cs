using System.Globalization;
using System.Text;

namespace KQuant.TestKit;

/// <summary>
/// Damages a file as a fuzzer does: a few bytes flipped, cut out, repeated, or numbers replaced by those that overflow something.
/// </summary>
public static class Mutation
{
    private static readonly string[] Numbers =
    [
        "0", "-1", "1", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "1.0", "1e3", "00",
    ];

    /// <param name="random">Chooses the damage.</param>
    /// <param name="original">The file.</param>
    /// <param name="startsWithLength">Whether the first eight bytes are the length of a text behind them, as in safetensors files.</param>
    public static byte[] Apply(Random random, ReadOnlySpan<byte> original, bool startsWithLength = true)
    {
        byte[] bytes = original.ToArray();
        for (int i = random.Next(1, 4); i > 0 && bytes.Length > 0; i--)
        {
            int at = random.Next(bytes.Length);
            int count = random.Next(1, Math.Min(9, bytes.Length - at + 1));
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    random.NextBytes(bytes.AsSpan(at, count));
                    break;
                case 2:
                    bytes = [.. bytes[..at], .. bytes[(at + count)..]];
                    break;
                case 3:
                    bytes = [.. bytes[..at], .. bytes[at..(at + count)], .. bytes[at..]];
                    break;
                case 4:
                    bytes[at] = (byte)"{}[]\",:\\0a\0\xFF"[random.Next(12)];
                    break;
                default:
                    bytes = ReplaceNumber(random, bytes, at, startsWithLength);
                    break;
            }
        }

        return bytes;
    }

    /// <summary>
    /// Replaces the decimal number at or behind a place, and corrects the length in front, so that the header stays whole.
    /// </summary>
    private static byte[] ReplaceNumber(Random random, byte[] bytes, int at, bool startsWithLength)
    {
        int start = bytes.AsSpan(at).IndexOfAnyInRange((byte)'0', (byte)'9');
        if (start < 0 || bytes.Length < 8)
        {
            return bytes;
        }

        start += at;
        int end = start;
        while (end < bytes.Length && char.IsAsciiDigit((char)bytes[end]))
        {
            end++;
        }

        string text = random.Next(2) == 0
            ? Numbers[random.Next(Numbers.Length)]
            : random.Next(100).ToString(CultureInfo.InvariantCulture);
        byte[] result = [.. bytes[..start], .. Encoding.ASCII.GetBytes(text), .. bytes[end..]];
        if (!startsWithLength)
        {
            return result;
        }

        long length = BitConverter.ToInt64(bytes) + text.Length - (end - start);
        BitConverter.TryWriteBytes(result, start < 8 ? BitConverter.ToInt64(result) : length);
        return result;
    }
}
