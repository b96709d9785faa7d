using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The map of characters that SentencePiece compiles its normalization to (<c>precompiled_charsmap</c>): a double-array trie, and the texts
/// that its values point to.
/// </summary>
internal sealed class CharacterMap : Normalizer
{
    /// <summary>Longer clusters are looked at character by character.</summary>
    private const int MaxClusterBytes = 5;

    private readonly uint[] _units;
    private readonly byte[] _texts;

    /// <param name="map">The length of the trie in bytes, the trie, the texts with a zero behind each.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public CharacterMap(ReadOnlySpan<byte> map)
    {
        uint bytes = map.Length >= sizeof(uint) ? BinaryPrimitives.ReadUInt32LittleEndian(map) : uint.MaxValue;
        if (bytes > map.Length - sizeof(uint) || bytes % sizeof(uint) != 0 || bytes == 0)
        {
            throw new ArgumentException($"has {map.Length} bytes, which are no map of characters");
        }

        _units = new uint[bytes / sizeof(uint)];
        for (int i = 0; i < _units.Length; i++)
        {
            _units[i] = BinaryPrimitives.ReadUInt32LittleEndian(map[((i + 1) * sizeof(uint))..]);
        }

        _texts = map[(int)(sizeof(uint) + bytes)..].ToArray();
    }

    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        string characters = Encoding.UTF8.GetString(text);
        bool changed = false;
        for (int at = 0, index = 0; index < characters.Length;)
        {
            int length = StringInfo.GetNextTextElementLength(characters.AsSpan(index));
            int bytes = Encoding.UTF8.GetByteCount(characters.AsSpan(index, length));
            ReadOnlySpan<byte> cluster = text.Slice(at, bytes);
            index += length;
            at += bytes;
            if (bytes <= MaxClusterBytes && TryGet(cluster, out ReadOnlySpan<byte> whole))
            {
                result.Add(whole);
                changed = true;
                continue;
            }

            for (int i = 0, size; i < cluster.Length; i += size)
            {
                size = ValidUtf8.LengthFrom(cluster[i]);
                ReadOnlySpan<byte> point = cluster.Slice(i, size);
                bool maps = TryGet(point, out ReadOnlySpan<byte> mapped);
                result.Add(maps ? mapped : point);
                changed |= maps;
            }
        }

        if (!changed)
        {
            result.Clear();
        }

        return changed;
    }

    /// <summary>What the shortest beginning of a text that the trie knows becomes.</summary>
    private bool TryGet(ReadOnlySpan<byte> key, out ReadOnlySpan<byte> text)
    {
        text = default;
        uint node = Offset(_units[0]);
        foreach (byte value in key)
        {
            node ^= value;
            if (value == 0 || node >= _units.Length || (_units[node] & 0x800000FFu) != value)
            {
                return false;
            }

            uint unit = _units[node];
            node ^= Offset(unit);
            if (((unit >> 8) & 1) == 1)
            {
                uint start = node < _units.Length ? _units[node] & 0x7FFFFFFF : uint.MaxValue;
                if (start > _texts.Length)
                {
                    return false;
                }

                text = _texts.AsSpan((int)start);
                int end = text.IndexOf((byte)0);
                text = end < 0 ? text : text[..end];
                return System.Text.Unicode.Utf8.IsValid(text);
            }
        }

        return false;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);
}
