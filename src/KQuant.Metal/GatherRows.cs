using KQuant.Matmul.Products;

namespace KQuant.Metal;

/// <summary>The rows of a gather, one after the other: row i of the results is row <c>XRows[i]</c> of x times expert <c>Experts[i]</c>.</summary>
internal sealed unsafe class GatherRows
{
    private readonly bool _sorted;

    public GatherRows(GatherPairs pairs, int rowsPerEntry, bool sorted)
    {
        _sorted = sorted;
        Count = pairs.Count * rowsPerEntry;
        XRows = new uint[Count];
        Experts = new uint[Count];
        var seen = new HashSet<int>();
        for (int p = 0; p < pairs.Count; p++)
        {
            seen.Add(pairs.Rhs[p]);
            for (int m = 0; m < rowsPerEntry; m++)
            {
                XRows[(p * rowsPerEntry) + m] = (uint)((pairs.Lhs[p] * rowsPerEntry) + m);
                Experts[(p * rowsPerEntry) + m] = (uint)pairs.Rhs[p];
            }
        }

        DistinctExperts = seen.Count;
    }

    public int Count { get; }

    public int DistinctExperts { get; }

    public uint[] XRows { get; }

    public uint[] Experts { get; }

    /// <summary>
    /// Brings rows of the same expert together and cuts them into segments: two lists, of rows of x and of rows of y, and the parts of
    /// them that meet one expert.
    /// </summary>
    /// <param name="limit">The most rows of a segment.</param>
    public (uint[] XRows, uint[] YRows, List<Segment> Segments) Split(int limit)
    {
        uint[] yRows = new uint[Count], xRows = new uint[Count];
        for (uint i = 0; i < yRows.Length; i++)
        {
            yRows[i] = i;
        }

        if (!_sorted)
        {
            // Array.Sort is not stable, and need not be: where a row is computed changes nothing.
            Array.Sort((uint[])Experts.Clone(), yRows);
        }

        var segments = new List<Segment>();
        for (int i = 0; i < Count; i++)
        {
            xRows[i] = XRows[yRows[i]];
            uint expert = Experts[yRows[i]];
            if (segments.Count > 0 && segments[^1].Expert == expert && segments[^1].Count < limit)
            {
                segments[^1] = segments[^1] with { Count = segments[^1].Count + 1 };
            }
            else
            {
                segments.Add(new Segment(expert, (uint)i, 1));
            }
        }

        return (xRows, yRows, segments);
    }
}
