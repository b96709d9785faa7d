using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>Sets of code points without regard to case: simple foldings, as Oniguruma applies them to single characters. What folds to
/// several, such as the sharp s, stays one character here.</summary>
internal static class CaseFolding
{
    /// <summary>Letters that fold to one that the framework's tables do not lead to.</summary>
    private static readonly (int One, int Other)[] More =
        [('s', 0x17F), ('k', 0x212A), (0xE5, 0x212B), (0x3BC, 0xB5), (0x3C3, 0x3C2), (0x3C9, 0x2126), (0xDF, 0x1E9E)];

    /// <summary>A set with all that differs from its members in case only.</summary>
    public static CodePointSet Close(CodePointSet set)
    {
        var added = new List<(int First, int Last)>();
        for (int i = 0; i < set.Changes.Length; i += 2)
        {
            for (int point = set.Changes[i]; point < set.Changes[i + 1]; point++)
            {
                if (!Rune.IsValid(point))
                {
                    continue;
                }

                int upper = Rune.ToUpperInvariant(new Rune(point)).Value, lower = Rune.ToLowerInvariant(new Rune(point)).Value;
                if (upper != point)
                {
                    added.Add((upper, upper));
                }

                if (lower != point)
                {
                    added.Add((lower, lower));
                }
            }
        }

        CodePointSet closed = set.Union(CodePointSet.Of([.. added]));
        foreach ((int one, int other) in More)
        {
            if (closed.Contains(one) || closed.Contains(other))
            {
                int upper = Rune.ToUpperInvariant(new Rune(one)).Value;
                closed = closed.Union(CodePointSet.Of((one, one), (other, other), (upper, upper)));
            }
        }

        return closed;
    }
}
