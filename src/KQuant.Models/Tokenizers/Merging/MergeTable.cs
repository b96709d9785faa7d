using System.Numerics;

namespace KQuant.Models.Tokenizers;

/// <summary>Pairs of tokens that byte-pair encoding joins: their rank, where the lowest goes first, and the token they become.</summary>
internal sealed class MergeTable
{
    private readonly Entry[] _entries;
    private readonly ulong _multiplier = (ulong)Random.Shared.NextInt64() | 1;
    private readonly int _shift;

    /// <summary>Makes an empty table.</summary>
    /// <param name="capacity">How many pairs will be added at most.</param>
    public MergeTable(int capacity)
    {
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, capacity + (capacity / 3L)));
        _entries = new Entry[size];
        _shift = 64 - BitOperations.Log2((uint)size);
    }

    /// <summary>Adds a pair.</summary>
    /// <param name="left">Its first token.</param>
    /// <param name="right">Its second token.</param>
    /// <param name="rank">Its rank.</param>
    /// <param name="result">The token they become.</param>
    /// <param name="replace">Whether a rank that the pair already has gives way to this one.</param>
    public void Add(int left, int right, int rank, int result, bool replace)
    {
        ref Entry entry = ref Find(Key(left, right));
        if (entry.Key == 0 || replace)
        {
            entry = new Entry(Key(left, right), rank, result);
        }
    }

    /// <summary>The rank of a pair, or <see cref="int.MaxValue"/> if it is never joined.</summary>
    public int Rank(int left, int right, out int result)
    {
        ref Entry entry = ref Find(Key(left, right));
        result = entry.Result;
        return entry.Key == 0 ? int.MaxValue : entry.Rank;
    }

    private static ulong Key(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) + 1;

    private ref Entry Find(ulong key)
    {
        Entry[] entries = _entries;
        int slot = (int)((key * _multiplier) >> _shift);
        while (entries[slot].Key != key && entries[slot].Key != 0)
        {
            slot = (slot + 1) & (entries.Length - 1);
        }

        return ref entries[slot];
    }

    private readonly record struct Entry(ulong Key, int Rank, int Result);
}
