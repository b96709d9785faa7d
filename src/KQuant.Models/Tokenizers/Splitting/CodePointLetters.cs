using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>One letter for all characters that a regular expression cannot tell apart.</summary>
internal sealed class CodePointLetters
{
    private const char FirstLetter = '\u4E00';
    private const int MaxLetters = 20_000;
    private const int TableSize = 0x800;

    private readonly int[] _starts;
    private readonly char[] _letters;
    private readonly char[] _table = new char[TableSize];

    /// <param name="sets">The sets that the expression distinguishes.</param>
    public CodePointLetters(IReadOnlyCollection<CodePointSet> sets)
    {
        CodePointSet[] distinct = [.. sets.DistinctBy(set => string.Join(',', set.Changes))];
        _starts = [.. distinct.SelectMany(set => set.Changes).Append(0).Where(start => start < CodePointSet.Limit).Distinct().Order()];
        _letters = new char[_starts.Length];
        var known = new Dictionary<string, char>();
        for (int i = 0; i < _starts.Length; i++)
        {
            int start = _starts[i];
            string members = string.Concat(distinct.Select(set => set.Contains(start) ? '1' : '0'));
            if (!known.TryGetValue(members, out char letter))
            {
                // Anchors of lines look for the line feed itself.
                letter = start == '\n' ? '\n' : known.Count < MaxLetters ? (char)(FirstLetter + known.Count) : throw new ArgumentException("it has too many sets");
                known.Add(members, letter);
            }

            _letters[i] = letter;
        }

        for (int point = 0; point < TableSize; point++)
        {
            _table[point] = Find(point);
        }
    }

    /// <summary>The letter of a code point.</summary>
    public char Of(int point) => point < TableSize ? _table[point] : Find(point);

    /// <summary>A set in the expression.</summary>
    public string Show(CodePointSet set)
    {
        char[] members = [.. _starts.Index().Where(start => set.Contains(start.Item)).Select(start => _letters[start.Index]).Distinct()];
        if (members is [var only])
        {
            return only == '\n' ? "\\n" : only.ToString();
        }

        var result = new StringBuilder(members.Length == 0 ? "[^\\s\\S" : "[");
        foreach (char member in members)
        {
            _ = member == '\n' ? result.Append("\\n") : result.Append(member);
        }

        return result.Append(']').ToString();
    }

    private char Find(int point)
    {
        int at = Array.BinarySearch(_starts, point);
        return _letters[at >= 0 ? at : ~at - 1];
    }
}
