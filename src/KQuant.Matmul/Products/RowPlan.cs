using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Vectors;

namespace KQuant.Matmul.Products;

/// <summary>
/// Which activation rows meet which matrix, and where the results go. A product with one matrix has a single group; a gather has one for
/// every matrix that is asked for, so that its weights are read once however many rows want them.
/// </summary>
internal sealed unsafe class RowPlan : IDisposable
{
    private readonly AlignedBuffer _groups = new();
    private readonly AlignedBuffer _slots = new();
    private readonly AlignedBuffer _outputs = new();
    private readonly AlignedBuffer _slotRows = new();
    private readonly AlignedBuffer _copies = new();
    private readonly AlignedBuffer _sorting = new();
    private readonly AlignedBuffer _items = new();

    /// <summary>The groups.</summary>
    public RowGroup* Groups { get; private set; }

    /// <summary>How many groups there are.</summary>
    public int GroupCount { get; private set; }

    /// <summary>For each row of each group, the slot that holds its activations.</summary>
    public int* Slots { get; private set; }

    /// <summary>For each row of each group, the row of results.</summary>
    public float** Outputs { get; private set; }

    /// <summary>Rows of all groups.</summary>
    public int RowCount { get; private set; }

    /// <summary>For each slot, the row of activations it holds.</summary>
    public int* SlotRows { get; private set; }

    /// <summary>Activation rows that are needed: each is prepared once.</summary>
    public int SlotCount { get; private set; }

    /// <summary>Results that are copies of others.</summary>
    public RowCopy* Copies { get; private set; }

    /// <summary>How many copies there are.</summary>
    public int CopyCount { get; private set; }

    /// <summary>All rows meet one matrix.</summary>
    /// <param name="rows">Activation rows, at least 1.</param>
    /// <param name="y">The results.</param>
    /// <param name="outputColumns">Results per row.</param>
    public void SetSingle(int rows, float* y, nint outputColumns)
    {
        Reserve(groups: 1, rows, slots: rows, copies: 0);
        Groups[0] = new RowGroup { Matrix = 0, First = 0, Count = rows };
        GroupCount = 1;
        RowCount = rows;
        SlotCount = rows;
        for (int r = 0; r < rows; r++)
        {
            Slots[r] = r;
            SlotRows[r] = r;
            Outputs[r] = y + (r * outputColumns);
        }
    }

    /// <summary>Entry p multiplies the rows of its item by its matrix.</summary>
    /// <param name="pairs">Items and matrices of the entries, at least one.</param>
    /// <param name="rowsPerItem">Rows of an item, at least 1.</param>
    /// <param name="sorted">The matrices ascend already. Were it untrue, more groups would be made than needed, no wrong ones.</param>
    /// <param name="y">The results.</param>
    /// <param name="outputColumns">Results per row.</param>
    public void SetGather(GatherPairs pairs, int rowsPerItem, bool sorted, float* y, nint outputColumns)
    {
        int* lhs = pairs.Lhs;
        int* rhs = pairs.Rhs;
        int entries = pairs.Count;
        int items = pairs.Items;
        Reserve(groups: entries, entries * rowsPerItem, slots: Math.Min(items, entries) * rowsPerItem, copies: entries * rowsPerItem);
        int* order = Sort(rhs, entries, pairs.Matrices, sorted);
        Item* known = _items.Get<Item>(items);
        new Span<Item>(known, items).Fill(new Item { Slot = -1, Group = -1 });
        RowCount = 0;
        SlotCount = 0;
        CopyCount = 0;
        GroupCount = 0;
        for (int i = 0; i < entries; i++)
        {
            int entry = order[i];
            if (i == 0 || rhs[entry] != rhs[order[i - 1]])
            {
                Groups[GroupCount++] = new RowGroup { Matrix = rhs[entry], First = RowCount };
            }

            ref RowGroup group = ref Groups[GroupCount - 1];
            ref Item item = ref known[lhs[entry]];
            bool isCopy = item.Group == GroupCount;
            if (item.Slot < 0)
            {
                item.Slot = SlotCount;
                for (int m = 0; m < rowsPerItem; m++)
                {
                    SlotRows[SlotCount++] = (lhs[entry] * rowsPerItem) + m;
                }
            }

            if (!isCopy)
            {
                item.Group = GroupCount;
                item.FirstRow = RowCount;
                group.Count += rowsPerItem;
            }

            for (int m = 0; m < rowsPerItem; m++)
            {
                float* output = y + ((((nint)entry * rowsPerItem) + m) * outputColumns);
                if (isCopy)
                {
                    Copies[CopyCount++] = new RowCopy { Source = Outputs[item.FirstRow + m], Destination = output };
                }
                else
                {
                    Slots[RowCount] = item.Slot + m;
                    Outputs[RowCount++] = output;
                }
            }
        }
    }

    /// <summary>Entry p multiplies rows of its own by its matrix. Where the results go is left open.</summary>
    /// <param name="pairs">Matrices of the entries, at least one.</param>
    /// <param name="rowsPerEntry">Rows of an entry, at least 1.</param>
    /// <param name="sorted">The matrices ascend already.</param>
    public void SetEntries(GatherPairs pairs, int rowsPerEntry, bool sorted)
    {
        int rows = pairs.Count * rowsPerEntry;
        Reserve(groups: pairs.Count, rows, slots: rows, copies: 0);
        int* order = Sort(pairs.Rhs, pairs.Count, pairs.Matrices, sorted);
        (RowCount, SlotCount, GroupCount) = (rows, rows, 0);
        for (int i = 0; i < pairs.Count; i++)
        {
            if (i == 0 || pairs.Rhs[order[i]] != pairs.Rhs[order[i - 1]])
            {
                Groups[GroupCount++] = new RowGroup { Matrix = pairs.Rhs[order[i]], First = i * rowsPerEntry };
            }

            Groups[GroupCount - 1].Count += rowsPerEntry;
            for (int m = 0; m < rowsPerEntry; m++)
            {
                Slots[(i * rowsPerEntry) + m] = (order[i] * rowsPerEntry) + m;
                SlotRows[(i * rowsPerEntry) + m] = (i * rowsPerEntry) + m;
            }
        }
    }

    /// <summary>Adds a bias to a range of the results of a group.</summary>
    /// <param name="group">The group.</param>
    /// <param name="bias">The bias of its matrix, from output 0 on; null for none.</param>
    /// <param name="first">The first output.</param>
    /// <param name="count">How many outputs.</param>
    public void AddBias(in RowGroup group, float* bias, int first, int count)
    {
        if (bias == null)
        {
            return;
        }

        for (int r = group.First; r < group.First + group.Count; r++)
        {
            var outputs = new Span<float>(Outputs[r] + first, count);
            RowMath.Add(new ReadOnlySpan<float>(bias + first, count), outputs);
        }
    }

    public void Dispose()
    {
        _groups.Dispose();
        _slots.Dispose();
        _outputs.Dispose();
        _slotRows.Dispose();
        _copies.Dispose();
        _sorting.Dispose();
        _items.Dispose();
    }

    // Entries by matrix, those of one matrix in the order they came: a counting sort.
    private int* Sort(int* rhs, int entries, int matrices, bool sorted)
    {
        int* order = _sorting.Get<int>((nint)entries + matrices);
        if (sorted)
        {
            for (int i = 0; i < entries; i++)
            {
                order[i] = i;
            }

            return order;
        }

        int* next = order + entries;
        new Span<int>(next, matrices).Clear();
        for (int i = 0; i < entries; i++)
        {
            next[rhs[i]]++;
        }

        for (int e = 0, first = 0; e < matrices; e++)
        {
            (next[e], first) = (first, first + next[e]);
        }

        for (int i = 0; i < entries; i++)
        {
            order[next[rhs[i]]++] = i;
        }

        return order;
    }

    private void Reserve(int groups, int rows, int slots, int copies)
    {
        Groups = _groups.Get<RowGroup>(groups);
        Slots = _slots.Get<int>(rows);
        Outputs = (float**)_outputs.Get<nint>(rows);
        SlotRows = _slotRows.Get<int>(slots);
        Copies = _copies.Get<RowCopy>(copies);
        CopyCount = 0;
    }

    private struct Item
    {
        public int Slot;
        public int Group;
        public int FirstRow;
    }
}
