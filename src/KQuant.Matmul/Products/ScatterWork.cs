using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Vectors;

namespace KQuant.Matmul.Products;

/// <summary>
/// The way back of a gather: every item receives the sum of the rows of the entries that used it, first entry to last. What one entry
/// alone used is written in place; what several used goes through rows of the entries and is added here, each item by one thread.
/// </summary>
internal sealed unsafe class ScatterWork : ParallelWork, IDisposable
{
    private readonly AlignedBuffer _rowBuffer = new();
    private readonly AlignedBuffer _indexBuffer = new();
    private int* _first;
    private int* _entries;
    private float* _rows;
    private float* _destination;
    private int _items;
    private int _itemLength;
    private int _itemsPerPiece;

    /// <summary>Sends the outputs of a plan made by <see cref="RowPlan.SetEntries"/> to where they belong.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="pairs">Items of the entries.</param>
    /// <param name="rowsPerItem">Rows of an item.</param>
    /// <param name="destination">The items.</param>
    /// <param name="columns">Values per row.</param>
    public void Redirect(RowPlan plan, GatherPairs pairs, int rowsPerItem, float* destination, int columns)
    {
        int* lhs = pairs.Lhs;
        int entries = pairs.Count;
        _destination = destination;
        _items = pairs.Items;
        _itemLength = rowsPerItem * columns;
        Sort(lhs, entries);
        _rows = _rowBuffer.Get<float>((nint)entries * _itemLength);
        for (int r = 0; r < plan.RowCount; r++)
        {
            int row = plan.SlotRows[plan.Slots[r]];
            int entry = row / rowsPerItem;
            int item = lhs[entry];
            bool isAlone = _first[item + 1] - _first[item] == 1;
            float* start = isAlone ? _destination + ((nint)item * _itemLength) : _rows + ((nint)entry * _itemLength);
            plan.Outputs[r] = start + ((nint)(row % rowsPerItem) * columns);
        }
    }

    /// <summary>Adds up what several entries used, and clears what none used.</summary>
    public void Run(WorkTeam team, CancellationToken cancellation)
    {
        double cost = WorkCost.Preparation((nint)_items * _itemLength);
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _itemsPerPiece = (int)Math.Max(1, _items * WorkCost.PerPiece(cost, threads) / cost);
        int pieces = (_items + _itemsPerPiece - 1) / _itemsPerPiece;
        team.Run(this, pieces, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }

    public void Dispose()
    {
        _rowBuffer.Dispose();
        _indexBuffer.Dispose();
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int end = Math.Min(_items, (piece + 1) * _itemsPerPiece);
        for (int item = piece * _itemsPerPiece; item < end; item++)
        {
            var sum = new Span<float>(_destination + ((nint)item * _itemLength), _itemLength);
            int uses = _first[item + 1] - _first[item];
            if (uses == 0)
            {
                sum.Clear();
            }
            else if (uses > 1)
            {
                Row(_first[item]).CopyTo(sum);
                for (int i = _first[item] + 1; i < _first[item + 1]; i++)
                {
                    RowMath.Add(Row(i), sum);
                }
            }
        }
    }

    private ReadOnlySpan<float> Row(int use) => new(_rows + ((nint)_entries[use] * _itemLength), _itemLength);

    // The entries of every item, in order: _entries[_first[item]] up to _entries[_first[item + 1]].
    private void Sort(int* lhs, int entries)
    {
        _first = _indexBuffer.Get<int>((nint)entries + _items + 2);
        _entries = _first + _items + 2;
        new Span<int>(_first, _items + 2).Clear();
        int* next = _first + 1;
        for (int i = 0; i < entries; i++)
        {
            next[lhs[i] + 1]++;
        }

        for (int item = 0; item < _items; item++)
        {
            next[item + 1] += next[item];
        }

        for (int i = 0; i < entries; i++)
        {
            _entries[next[lhs[i]]++] = i;
        }
    }
}
