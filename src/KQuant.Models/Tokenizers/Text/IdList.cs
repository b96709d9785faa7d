using System.Runtime.CompilerServices;

namespace KQuant.Models.Tokenizers;

/// <summary>Token ids that become more.</summary>
internal sealed class IdList
{
    private int[] _items = new int[16];

    public int Count { get; private set; }

    public ReadOnlySpan<int> Items => _items.AsSpan(0, Count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(int id)
    {
        if (Count == _items.Length)
        {
            Grow(1);
        }

        _items[Count++] = id;
    }

    public void Add(ReadOnlySpan<int> ids)
    {
        if (Count + ids.Length > _items.Length)
        {
            Grow(ids.Length);
        }

        ids.CopyTo(_items.AsSpan(Count));
        Count += ids.Length;
    }

    public void Clear() => Count = 0;

    public int[] ToArray() => Items.ToArray();

    private void Grow(int count) => Array.Resize(ref _items, (int)Math.Min(Math.Max(Count + (long)count, 2L * _items.Length), Array.MaxLength));
}
