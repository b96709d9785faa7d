using System.CommandLine;

namespace KQuant.Cli;

/// <summary>What somebody who mistyped a verb or an option may have meant.</summary>
internal static class Suggestions
{
    /// <summary>A question behind an error, or nothing when nothing is near.</summary>
    public static string For(string word, Command command)
    {
        IEnumerable<string> names = word.StartsWith('-')
            ? command.Options.SelectMany(option => option.Aliases.Prepend(option.Name)).Where(name => name.StartsWith("--", StringComparison.Ordinal))
            : command.Subcommands.Select(verb => verb.Name);
        return Among(word, names);
    }

    /// <summary>A question behind an error about a word that is none of some names, or nothing when none is near.</summary>
    public static string Among(string word, IEnumerable<string> names)
    {
        string[] near =
        [
            .. names.Distinct().Select(name => (Name: name, Distance: Distance(word, name)))
                .Where(pair => pair.Distance <= Math.Max(1, Math.Min(word.Length, pair.Name.Length) / 3))
                .OrderBy(pair => pair.Distance).Take(2).Select(pair => $"'{pair.Name}'"),
        ];
        return near.Length == 0 ? "" : $" Did you mean {string.Join(" or ", near)}?";
    }

    /// <summary>Letters to insert, delete, replace or swap with their neighbour.</summary>
    private static int Distance(string a, string b)
    {
        if (Math.Abs(a.Length - b.Length) > 16 || a.Length > 64)
        {
            return int.MaxValue;
        }

        var costs = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            for (int j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    costs[i, j] = i + j;
                    continue;
                }

                bool same = char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]);
                costs[i, j] = Math.Min(Math.Min(costs[i - 1, j], costs[i, j - 1]) + 1, costs[i - 1, j - 1] + (same ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    costs[i, j] = Math.Min(costs[i, j], costs[i - 2, j - 2] + 1);
                }
            }
        }

        return costs[a.Length, b.Length];
    }
}
