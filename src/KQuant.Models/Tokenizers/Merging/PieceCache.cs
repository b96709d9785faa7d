using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The ids of pieces that came before. Of fixed size: a piece takes the place of another with the same slot. Safe for several threads
/// without a lock, as entries never change and a lost write costs no more than the work of finding the ids again.
/// </summary>
internal sealed class PieceCache
{
    /// <summary>Longer pieces are rare, and seldom come twice.</summary>
    public const int MaxPieceBytes = 48;

    private const int Slots = 1 << 14;
    private readonly Entry?[] _entries = new Entry[Slots];
    private readonly ulong _multiplier = (ulong)Random.Shared.NextInt64() | 1;

    /// <summary>The ids of a piece.</summary>
    /// <param name="piece">The piece.</param>
    /// <param name="slot">Its slot, for <see cref="Add"/>.</param>
    /// <param name="ids">The ids, or null.</param>
    /// <returns>Whether they are known.</returns>
    public bool TryGet(ReadOnlySpan<byte> piece, out int slot, [NotNullWhen(true)] out int[]? ids)
    {
        slot = (int)(TokenTable.Hash(piece, _multiplier) >> 17) & (Slots - 1);
        Entry? entry = Volatile.Read(ref _entries[slot]);
        ids = entry is not null && piece.SequenceEqual(entry.Piece) ? entry.Ids : null;
        return ids is not null;
    }

    public void Add(int slot, ReadOnlySpan<byte> piece, ReadOnlySpan<int> ids) =>
        Volatile.Write(ref _entries[slot], new Entry(piece.ToArray(), ids.ToArray()));

    private sealed record Entry(byte[] Piece, int[] Ids);
}
