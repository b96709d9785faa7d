namespace KQuant.Codecs.Conversion;

/// <summary>A codec for a tensor.</summary>
internal readonly record struct BudgetItem(QuantCodec Codec, long Bytes, double Error, double Loss);

/// <summary>A tensor: one of its items is chosen.</summary>
internal sealed record BudgetGroup(IReadOnlyList<BudgetItem> Items);

/// <summary>
/// Chooses an item of each group so that the sum of losses is as small as a sum of bytes allows: along the lower convex hull of each group
/// where the most is gained for a byte, then whatever single change or exchange of two still helps.
/// </summary>
internal sealed class BudgetSolver
{
    private readonly IReadOnlyList<BudgetGroup> _groups;
    private readonly int[][] _hulls;
    private readonly (int Group, int Item)[] _steps;

    public BudgetSolver(IReadOnlyList<BudgetGroup> groups)
    {
        _groups = groups;
        _hulls = [.. groups.Select(FindHull)];

        // On a hull each further step gains less for a byte, so that sorting all steps keeps those of a group in order.
        _steps =
        [
            .. _hulls.SelectMany((hull, group) => Enumerable.Range(1, hull.Length - 1).Select(i => (Group: group, From: hull[i - 1], Item: hull[i])))
                .OrderByDescending(step => Gain(step.Group, step.From, step.Item)).Select(step => (step.Group, step.Item)),
        ];
    }

    /// <summary>Bytes of the smallest choice.</summary>
    public long SmallestBytes => BytesOf(Smallest());

    /// <summary>The item of each group; null when even the smallest choice has too many bytes.</summary>
    public int[]? Solve(long bytes)
    {
        int[] chosen = Smallest();
        long used = BytesOf(chosen);
        if (used > bytes)
        {
            return null;
        }

        foreach ((int group, int item) in _steps)
        {
            long more = Bytes(group, item) - Bytes(group, chosen[group]);
            if (used + more > bytes)
            {
                break;
            }

            used += more;
            chosen[group] = item;
        }

        while (Improve(chosen, ref used, bytes))
        {
        }

        return chosen;
    }

    /// <summary>Bytes of a choice.</summary>
    public long BytesOf(int[] chosen) => chosen.Select((item, group) => Bytes(group, item)).Sum();

    /// <summary>Size against loss, along the hulls.</summary>
    public IEnumerable<BudgetPoint> Curve()
    {
        const int Points = 16;
        int[] chosen = Smallest();
        long bytes = BytesOf(chosen);
        double loss = chosen.Select((item, group) => Loss(group, item)).Sum();
        int every = Math.Max(1, _steps.Length / Points);
        yield return new BudgetPoint { Bytes = bytes, Loss = loss };
        for (int i = 0; i < _steps.Length; i++)
        {
            (int group, int item) = _steps[i];
            bytes += Bytes(group, item) - Bytes(group, chosen[group]);
            loss += Loss(group, item) - Loss(group, chosen[group]);
            chosen[group] = item;
            if ((i + 1) % every == 0 || i == _steps.Length - 1)
            {
                yield return new BudgetPoint { Bytes = bytes, Loss = loss };
            }
        }
    }

    /// <summary>The best single change that fits, also with another tensor giving way; false when none helps.</summary>
    private bool Improve(int[] chosen, ref long used, long bytes)
    {
        (double Gain, int Group, int Item, int Other, int OtherItem) best = (0, -1, 0, -1, 0);
        long room = bytes - used;
        for (int group = 0; group < _groups.Count; group++)
        {
            for (int item = 0; item < _groups[group].Items.Count; item++)
            {
                double gain = Loss(group, chosen[group]) - Loss(group, item);
                long more = Bytes(group, item) - Bytes(group, chosen[group]);
                if (gain <= best.Gain)
                {
                    continue;
                }

                if (more <= room)
                {
                    best = (gain, group, item, -1, 0);
                    continue;
                }

                for (int other = 0; other < _groups.Count; other++)
                {
                    for (int otherItem = 0; other != group && otherItem < _groups[other].Items.Count; otherItem++)
                    {
                        double both = gain + Loss(other, chosen[other]) - Loss(other, otherItem);
                        if (both > best.Gain && more + Bytes(other, otherItem) - Bytes(other, chosen[other]) <= room)
                        {
                            best = (both, group, item, other, otherItem);
                        }
                    }
                }
            }
        }

        // Less than rounding is no gain.
        if (best.Group < 0 || best.Gain <= 1e-12 * chosen.Select((item, group) => Loss(group, item)).Sum())
        {
            return false;
        }

        chosen[best.Group] = best.Item;
        if (best.Other >= 0)
        {
            chosen[best.Other] = best.OtherItem;
        }

        used = BytesOf(chosen);
        return true;
    }

    private int[] Smallest() => [.. _hulls.Select(hull => hull[0])];

    private long Bytes(int group, int item) => _groups[group].Items[item].Bytes;

    private double Loss(int group, int item) => _groups[group].Items[item].Loss;

    private double Gain(int group, int from, int to) => (Loss(group, from) - Loss(group, to)) / (Bytes(group, to) - Bytes(group, from));

    private static int[] FindHull(BudgetGroup group)
    {
        var hull = new List<int>();
        foreach (int item in Enumerable.Range(0, group.Items.Count).OrderBy(i => group.Items[i].Bytes).ThenBy(i => group.Items[i].Loss))
        {
            if (hull.Count > 0 && group.Items[item].Loss >= group.Items[hull[^1]].Loss)
            {
                continue;
            }

            while (hull.Count > 1 && Slope(hull[^2], hull[^1]) <= Slope(hull[^1], item))
            {
                hull.RemoveAt(hull.Count - 1);
            }

            hull.Add(item);
        }

        return [.. hull];

        double Slope(int from, int to) =>
            (group.Items[from].Loss - group.Items[to].Loss) / (group.Items[to].Bytes - group.Items[from].Bytes);
    }
}
