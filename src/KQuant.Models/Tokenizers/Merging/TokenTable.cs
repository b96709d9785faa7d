using System.Numerics;
using System.Runtime.InteropServices;

namespace KQuant.Models.Tokenizers;

/// <summary>Byte strings by id and ids by byte string, in three arrays: a vocabulary of 150 000 tokens takes some 3 MB.</summary>
internal sealed class TokenTable
{
    private readonly byte[] _bytes;
    private readonly int[] _starts;
    private readonly int[] _slots;
    private readonly ulong _multiplier = (ulong)Random.Shared.NextInt64() | 1;

    private TokenTable(byte[] bytes, int[] starts, bool[] present)
    {
        (_bytes, _starts) = (bytes, starts);
        _slots = new int[BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, 2 * Count))];
        for (int id = 0; id < Count; id++)
        {
            MaxLength = Math.Max(MaxLength, starts[id + 1] - starts[id]);
            if (!present[id])
            {
                continue;
            }

            int slot = Find(this[id]);
            if (_slots[slot] != 0)
            {
                Duplicate ??= (_slots[slot] - 1, id);
                continue;
            }

            _slots[slot] = id + 1;
        }
    }

    /// <summary>One more than the largest id.</summary>
    public int Count => _starts.Length - 1;

    /// <summary>Bytes of the longest string.</summary>
    public int MaxLength { get; }

    /// <summary>Two ids of the same string, if there are such; the first is the one that is found.</summary>
    public (int First, int Second)? Duplicate { get; }

    /// <summary>The string of an id; empty for an id without one.</summary>
    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_starts[id].._starts[id + 1]);

    /// <summary>The id of a string.</summary>
    public bool TryGet(ReadOnlySpan<byte> text, out int id)
    {
        id = text.Length > MaxLength ? -1 : _slots[Find(text)] - 1;
        return id >= 0;
    }

    /// <summary>
    /// A hash that nobody can foresee, so that no file can be made of tokens that collide.
    /// </summary>
    internal static ulong Hash(ReadOnlySpan<byte> text, ulong multiplier)
    {
        ulong hash = (ulong)text.Length * multiplier;
        while (text.Length >= sizeof(ulong))
        {
            hash = Mix(hash ^ MemoryMarshal.Read<ulong>(text), multiplier);
            text = text[sizeof(ulong)..];
        }

        ulong rest = 0;
        for (int i = 0; i < text.Length; i++)
        {
            rest |= (ulong)text[i] << (8 * i);
        }

        return Mix(hash ^ rest, multiplier);
    }

    private static ulong Mix(ulong value, ulong multiplier)
    {
        ulong high = Math.BigMul(value, multiplier, out ulong low);
        return high ^ low;
    }

    private int Find(ReadOnlySpan<byte> text)
    {
        int mask = _slots.Length - 1, slot = (int)(Hash(text, _multiplier) >> 20) & mask;
        while (_slots[slot] != 0 && !this[_slots[slot] - 1].SequenceEqual(text))
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }

    /// <summary>Collects strings in any order of their ids.</summary>
    internal sealed class Builder : IDisposable
    {
        private readonly ByteBuffer _buffer = new();
        private readonly List<(int Start, int Length)> _places = [];

        public int Count => _places.Count;

        /// <summary>Adds a string.</summary>
        /// <param name="id">Its id; memory grows with the largest.</param>
        /// <param name="text">Its bytes.</param>
        /// <returns>False if the id has a string already.</returns>
        public bool TryAdd(int id, ReadOnlySpan<byte> text)
        {
            if (id >= _places.Count)
            {
                CollectionsMarshal.SetCount(_places, id + 1);
            }

            ref (int Start, int Length) place = ref CollectionsMarshal.AsSpan(_places)[id];
            if (place != default)
            {
                return false;
            }

            // Start 0 with length 0 is the mark of an id without a string: starts count from 1.
            place = (_buffer.Length + 1, text.Length);
            _buffer.Add(text);
            return true;
        }

        public TokenTable Build()
        {
            var bytes = new byte[_buffer.Length];
            var starts = new int[_places.Count + 1];
            var present = new bool[_places.Count];
            for (int id = 0, at = 0; id < _places.Count; id++)
            {
                (int start, int length) = _places[id];
                present[id] = start > 0;
                if (present[id])
                {
                    _buffer.Bytes.Slice(start - 1, length).CopyTo(bytes.AsSpan(at));
                    at += length;
                }

                starts[id + 1] = at;
            }

            return new TokenTable(bytes, starts, present);
        }

        public void Dispose() => _buffer.Dispose();
    }
}
