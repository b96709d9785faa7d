using System.Collections.Frozen;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Combining classes, decompositions and compositions of Unicode 9.0, the version of the official tokenizers: marks that are newer do not
/// move. Read once from 35 KB inside the assembly. The framework's own
/// normalization does nothing when globalization is invariant, as in trimmed programs and slim containers.
/// </summary>
internal sealed class NormalizationData
{
    public const int HangulBase = 0xAC00, HangulCount = 11172, LeadBase = 0x1100, LeadCount = 19;
    public const int VowelBase = 0x1161, VowelCount = 21, TrailBase = 0x11A7, TrailCount = 28;

    private const int CompatibilityOnly = 1, NeverComposed = 2;
    private const int PageBits = 8;
    private static readonly Lazy<NormalizationData> Lazy = new(() => new NormalizationData());

    private readonly byte[]?[] _classPages = new byte[0x110000 >> PageBits][];
    private readonly ulong[]?[] _unstablePages = new ulong[0x110000 >> PageBits][];
    private readonly FrozenDictionary<int, int[]> _canonical;
    private readonly FrozenDictionary<int, int[]> _compatible;
    private readonly FrozenDictionary<ulong, int> _compositions;

    private NormalizationData()
    {
        using Stream stream = typeof(NormalizationData).Assembly.GetManifestResourceStream("normalization-data.bin")!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var reader = new Reader(bytes);
        int at = 0;
        for (int runs = reader.Next(); runs > 0; runs--)
        {
            at += reader.Next();
            int end = at + reader.Next();
            for (byte value = (byte)reader.Next(); at < end; at++)
            {
                (_classPages[at >> PageBits] ??= new byte[1 << PageBits])[at & ((1 << PageBits) - 1)] = value;
                MarkUnstable(at);
            }
        }

        var canonical = new Dictionary<int, int[]>();
        var compatible = new Dictionary<int, int[]>();
        var compositions = new Dictionary<ulong, int>();
        at = 0;
        for (int entries = reader.Next(); entries > 0; entries--)
        {
            at += reader.Next();
            int flags = reader.Next();
            var parts = new int[reader.Next()];
            foreach (ref int part in parts.AsSpan())
            {
                part = reader.Next();
            }

            ((flags & CompatibilityOnly) != 0 ? compatible : canonical).Add(at, parts);
            if ((flags & NeverComposed) != 0)
            {
                MarkUnstable(at);
            }
            else if ((flags & CompatibilityOnly) == 0)
            {
                compositions.Add(Pair(parts[0], parts[1]), at);
                MarkUnstable(parts[1]);
            }
        }

        for (int jamo = VowelBase; jamo < TrailBase + TrailCount; jamo++)
        {
            MarkUnstable(jamo);
        }

        _canonical = canonical.ToFrozenDictionary();
        _compatible = compatible.ToFrozenDictionary();
        _compositions = compositions.ToFrozenDictionary();
    }

    public static NormalizationData Instance => Lazy.Value;

    /// <summary>The canonical combining class; 0 for a starter.</summary>
    public int CombiningClass(int codePoint) =>
        _classPages[codePoint >> PageBits] is { } page ? page[codePoint & ((1 << PageBits) - 1)] : 0;

    /// <summary>Whether NFC may change this code point or join it to what stands before. A text without such code points is in NFC.</summary>
    public bool IsUnstable(int codePoint) =>
        _unstablePages[codePoint >> PageBits] is { } page && (page[(codePoint & 0xFF) >> 6] >> (codePoint & 63) & 1) != 0;

    /// <summary>One step of decomposition, or null. Hangul syllables are for the caller.</summary>
    public int[]? Decompose(int codePoint, bool compatibility) =>
        _canonical.TryGetValue(codePoint, out int[]? parts) || (compatibility && _compatible.TryGetValue(codePoint, out parts)) ? parts : null;

    /// <summary>The code point that two others make together, or -1.</summary>
    public int Compose(int first, int second)
    {
        if ((uint)(first - LeadBase) < LeadCount && (uint)(second - VowelBase) < VowelCount)
        {
            return HangulBase + ((((first - LeadBase) * VowelCount) + second - VowelBase) * TrailCount);
        }

        if ((uint)(first - HangulBase) < HangulCount && (first - HangulBase) % TrailCount == 0 && (uint)(second - TrailBase - 1) < TrailCount - 1)
        {
            return first + second - TrailBase;
        }

        return _compositions.TryGetValue(Pair(first, second), out int result) ? result : -1;
    }

    private static ulong Pair(int first, int second) => ((ulong)(uint)first << 32) | (uint)second;

    private void MarkUnstable(int codePoint) =>
        (_unstablePages[codePoint >> PageBits] ??= new ulong[4])[(codePoint & 0xFF) >> 6] |= 1UL << (codePoint & 63);

    private ref struct Reader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public int Next()
        {
            int value = 0;
            for (int shift = 0; ; shift += 7)
            {
                byte next = _rest[0];
                _rest = _rest[1..];
                value |= (next & 0x7F) << shift;
                if (next < 0x80)
                {
                    return value;
                }
            }
        }
    }
}
