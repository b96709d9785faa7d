using System.Numerics;

namespace KQuant.Codecs.Rotations;

/// <summary>Random words by counter (threefry2x32 of twenty rounds, as JAX and MLX have it): the same for a seed on every machine.</summary>
internal static class Threefry
{
    private const uint Parity = 0x1BD11BDA;

    private static ReadOnlySpan<byte> Turns => [13, 15, 26, 6, 17, 29, 16, 24];

    /// <summary>Two words of a counter of two words.</summary>
    public static (uint First, uint Second) Get(ulong seed, uint first, uint second)
    {
        uint key0 = (uint)(seed >> 32), key1 = (uint)seed;
        Span<uint> keys = [key0, key1, key0 ^ key1 ^ Parity];
        (uint x, uint y) = (first + key0, second + key1);
        for (int group = 0; group < 5; group++)
        {
            foreach (byte turn in Turns.Slice(group % 2 * 4, 4))
            {
                x += y;
                y = BitOperations.RotateLeft(y, turn) ^ x;
            }

            x += keys[(group + 1) % 3];
            y += keys[(group + 2) % 3] + (uint)group + 1;
        }

        return (x, y);
    }

    /// <summary>As many words as MLX draws at once: counters i and i + half in a pair, the middle one of an odd number alone.</summary>
    public static uint[] GetWords(ulong seed, int count)
    {
        var words = new uint[count];
        int half = count / 2, odd = count % 2;
        for (int i = 0; i < half; i++)
        {
            (words[i], words[half + odd + i]) = Get(seed, (uint)i, (uint)(half + odd + i));
        }

        if (odd == 1)
        {
            words[half] = Get(seed, (uint)half, 0).First;
        }

        return words;
    }
}
