using System.Runtime.InteropServices;

namespace KQuant.Cli.Benchmarks;

/// <summary>Weights to measure with: what they are does not matter as long as they are ordinary numbers.</summary>
internal static unsafe class RandomBlocks
{
    /// <summary>
    /// Random bytes are blocks of any format. No 16-bit word of these is an infinity, a NaN or a subnormal, so no scale is one, wherever
    /// the format has it.
    /// </summary>
    /// <param name="bytes">Where they go.</param>
    /// <param name="length">How many.</param>
    public static void Fill(byte* bytes, nint length)
    {
        const int ExponentMask = 0x7C00, ExponentOfOne = 0x3C00;
        const int Tile = 1 << 20;
        var random = new Random(1);
        var tile = new Span<byte>(bytes, (int)Math.Min(length, Tile));
        random.NextBytes(tile);
        foreach (ref ushort word in MemoryMarshal.Cast<byte, ushort>(tile))
        {
            word = (word & ExponentMask) is 0 or ExponentMask ? (ushort)((word & ~ExponentMask) | ExponentOfOne) : word;
        }

        for (nint at = Tile; at < length; at += Tile)
        {
            int count = (int)Math.Min(length - at, Tile);
            tile[..count].CopyTo(new Span<byte>(bytes + at, count));
        }
    }
}
