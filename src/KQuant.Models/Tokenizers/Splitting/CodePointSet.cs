namespace KQuant.Models.Tokenizers;

/// <summary>A set of code points, as the places where membership changes: even places begin a range, odd ones end it.</summary>
/// <param name="Changes">Ascending; the first code point inside, the first outside again, and so on.</param>
internal sealed record CodePointSet(int[] Changes)
{
    /// <summary>One more than the largest code point.</summary>
    public const int Limit = 0x110000;

    /// <summary>Nothing.</summary>
    public static CodePointSet Empty { get; } = new([]);

    /// <summary>The code points of ranges in any order.</summary>
    public static CodePointSet Of(params ReadOnlySpan<(int First, int Last)> ranges)
    {
        (int First, int Last)[] sorted = [.. ranges];
        Array.Sort(sorted);
        var changes = new List<int>();
        foreach ((int first, int last) in sorted)
        {
            if (changes.Count > 0 && first <= changes[^1])
            {
                changes[^1] = Math.Max(changes[^1], last + 1);
            }
            else
            {
                changes.AddRange([first, last + 1]);
            }
        }

        return new CodePointSet([.. changes]);
    }

    /// <summary>The code points of a list such as <c>41-5A 61-7A AA</c>.</summary>
    public static CodePointSet Parse(ReadOnlySpan<char> list)
    {
        var changes = new List<int>();
        foreach (Range part in list.Split(' '))
        {
            ReadOnlySpan<char> range = list[part];
            int dash = range.IndexOf('-');
            int Hex(ReadOnlySpan<char> digits) =>
                int.Parse(digits, System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture);
            changes.Add(Hex(dash < 0 ? range : range[..dash]));
            changes.Add(Hex(range[(dash + 1)..]) + 1);
        }

        return new CodePointSet([.. changes]);
    }

    public bool Contains(int point)
    {
        int at = Array.BinarySearch(Changes, point);
        return ((at >= 0 ? at + 1 : ~at) & 1) == 1;
    }

    public CodePointSet Union(CodePointSet other) => Combine(other, either: true);

    public CodePointSet Intersect(CodePointSet other) => Combine(other, either: false);

    public CodePointSet Except(CodePointSet other) => Intersect(other.Complement());

    public CodePointSet Complement()
    {
        bool hasFirst = Changes.Length > 0 && Changes[0] == 0, hasLast = Changes.Length > 0 && Changes[^1] == Limit;
        int[] inner = Changes[(hasFirst ? 1 : 0)..(hasLast ? ^1 : ^0)];
        return new CodePointSet([.. (int[])(hasFirst ? [] : [0]), .. inner, .. (int[])(hasLast ? [] : [Limit])]);
    }

    private CodePointSet Combine(CodePointSet other, bool either)
    {
        var changes = new List<int>();
        int i = 0, j = 0;
        bool inside = false;
        while (i < Changes.Length || j < other.Changes.Length)
        {
            int next = Math.Min(i < Changes.Length ? Changes[i] : Limit, j < other.Changes.Length ? other.Changes[j] : Limit);
            i += i < Changes.Length && Changes[i] == next ? 1 : 0;
            j += j < other.Changes.Length && other.Changes[j] == next ? 1 : 0;
            bool mine = (i & 1) == 1, others = (j & 1) == 1;
            bool now = either ? mine || others : mine && others;
            if (now != inside)
            {
                changes.Add(next);
                inside = now;
            }
        }

        return new CodePointSet([.. changes]);
    }
}
