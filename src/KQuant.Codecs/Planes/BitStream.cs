namespace KQuant.Codecs.Planes;

/// <summary>
/// MLX's packing: code i of a row takes the bits from <c>i * bits</c> on of a little-endian stream. Eight codes fill as many bytes as a code has
/// bits, so groups of 32 never share a byte, also where codes straddle bytes and words.
/// </summary>
internal static unsafe class BitStream
{
    /// <summary>Packs codes.</summary>
    /// <param name="codes">The codes, each below <c>1 &lt;&lt; bits</c>.</param>
    /// <param name="count">How many, a multiple of 8.</param>
    /// <param name="bits">Bits of a code, at most 8.</param>
    /// <param name="destination">Receives <c>count / 8 * bits</c> bytes.</param>
    public static void Pack(byte* codes, int count, int bits, byte* destination)
    {
        for (int i = 0; i < count; i += 8, destination += bits)
        {
            ulong packed = 0;
            for (int j = 7; j >= 0; j--)
            {
                packed = (packed << bits) | codes[i + j];
            }

            // What a wide store writes too far, the next eight codes replace.
            if ((count - i) / 8 * bits >= sizeof(ulong))
            {
                *(ulong*)destination = packed;
                continue;
            }

            for (int j = 0; j < bits; j++)
            {
                destination[j] = (byte)(packed >> (8 * j));
            }
        }
    }

    /// <summary>Eight packed codes: the lowest <c>8 * bits</c> bits.</summary>
    public static ulong Load(byte* source, int bits)
    {
        ulong packed = 0;
        for (int j = 0; j < bits; j++)
        {
            packed |= (ulong)source[j] << (8 * j);
        }

        return packed;
    }
}
