namespace KQuant.Codecs.Blocks;

/// <summary>The two ways in which K-quants pack 6-bit scales into 12 bytes.</summary>
internal static class PackedScales
{
    /// <summary>q4_K, q5_K: scale and minimum of sub-block <paramref name="sub"/> (0..7). (ggml <c>get_scale_min_k4</c>.)</summary>
    public static (int Scale, int Min) Q4(ReadOnlySpan<byte> packed, int sub) => sub < 4
        ? (packed[sub] & 63, packed[sub + 4] & 63)
        : ((packed[sub + 4] & 15) | (packed[sub - 4] >> 6) << 4, (packed[sub + 4] >> 4) | (packed[sub] >> 6) << 4);

    /// <summary>q3_K: signed scale (-32..31) of sub-block <paramref name="sub"/> (0..15).</summary>
    public static int Q3(ReadOnlySpan<byte> packed, int sub)
    {
        int low = sub < 8 ? packed[sub] & 15 : packed[sub - 8] >> 4;
        int high = (packed[8 + (sub % 4)] >> (2 * (sub / 4))) & 3;
        return (low | high << 4) - 32;
    }

    /// <summary>q4_K, q5_K: the inverse of <see cref="Q4"/> for eight scales and minimums.</summary>
    public static void PackQ4(ReadOnlySpan<byte> scales, ReadOnlySpan<byte> mins, Span<byte> packed)
    {
        for (int sub = 0; sub < 4; sub++)
        {
            packed[sub] = (byte)(scales[sub] | scales[sub + 4] >> 4 << 6);
            packed[sub + 4] = (byte)(mins[sub] | mins[sub + 4] >> 4 << 6);
            packed[sub + 8] = (byte)((scales[sub + 4] & 15) | mins[sub + 4] << 4);
        }
    }

    /// <summary>q3_K: the inverse of <see cref="Q3"/> for sixteen scales with 32 added.</summary>
    public static void PackQ3(ReadOnlySpan<byte> scales, Span<byte> packed)
    {
        packed.Clear();
        for (int sub = 0; sub < 16; sub++)
        {
            packed[sub % 8] |= (byte)((scales[sub] & 15) << (sub / 8 * 4));
            packed[8 + (sub % 4)] |= (byte)(scales[sub] >> 4 << (2 * (sub / 4)));
        }
    }
}
