using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>A binary heap of ranks and places: the lowest rank comes first, the lowest place among equals.</summary>
internal sealed class MinHeap(int capacity) : IDisposable
{
    private ulong[] _items = ArrayPool<ulong>.Shared.Rent(Math.Max(capacity, 16));
    private int _count;

    /// <summary>Adds an item before <see cref="Order"/>.</summary>
    public void Fill(int rank, int place)
    {
        Reserve();
        _items[_count++] = Pack(rank, place);
    }

    /// <summary>Orders what was filled in, in linear time.</summary>
    public void Order()
    {
        for (int i = (_count / 2) - 1; i >= 0; i--)
        {
            Sink(i, _items[i]);
        }
    }

    public void Push(int rank, int place)
    {
        Reserve();
        ulong item = Pack(rank, place);
        int at = _count++;
        for (int parent; at > 0 && _items[parent = (at - 1) / 2] > item; at = parent)
        {
            _items[at] = _items[parent];
        }

        _items[at] = item;
    }

    public bool TryPop(out int rank, out int place)
    {
        if (_count == 0)
        {
            (rank, place) = (0, 0);
            return false;
        }

        ulong top = _items[0];
        (rank, place) = ((int)(top >> 32), (int)(uint)top);
        ulong last = _items[--_count];
        if (_count > 0)
        {
            Sink(0, last);
        }

        return true;
    }

    public void Dispose()
    {
        ArrayPool<ulong>.Shared.Return(_items);
        _items = [];
    }

    private static ulong Pack(int rank, int place) => ((ulong)(uint)rank << 32) | (uint)place;

    private void Reserve()
    {
        if (_count == _items.Length)
        {
            ulong[] larger = ArrayPool<ulong>.Shared.Rent(checked(2 * _count));
            _items.AsSpan(0, _count).CopyTo(larger);
            ArrayPool<ulong>.Shared.Return(_items);
            _items = larger;
        }
    }

    private void Sink(int at, ulong item)
    {
        while (true)
        {
            int child = (2 * at) + 1;
            if (child >= _count)
            {
                break;
            }

            child += child + 1 < _count && _items[child + 1] < _items[child] ? 1 : 0;
            if (_items[child] >= item)
            {
                break;
            }

            _items[at] = _items[child];
            at = child;
        }

        _items[at] = item;
    }
}
