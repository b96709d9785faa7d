using System.Globalization;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The sets of code points that regular expressions name: general categories as the framework has them, scripts and a few properties from a
/// list inside the assembly, and the POSIX classes as Oniguruma understands them.
/// </summary>
internal static class UnicodeSets
{
    private static readonly Lazy<Dictionary<string, CodePointSet>> Categories = new(ReadCategories);
    private static readonly Lazy<Dictionary<string, string>> Lists = new(ReadLists);

    /// <summary><c>\s</c>.</summary>
    public static CodePointSet Space => Get("WhiteSpace");

    /// <summary><c>\w</c> of Oniguruma.</summary>
    public static CodePointSet Word => Get("Alphabetic").Union(Get("M")).Union(Get("Nd")).Union(Get("Pc"));

    /// <summary>The set of a property; names are compared without case, spaces, hyphens and underscores.</summary>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    public static CodePointSet Get(string name)
    {
        string plain = Plain(name);
        return Categories.Value.TryGetValue(plain, out CodePointSet? found) ? found
            : Lists.Value.TryGetValue(plain, out string? list) ? CodePointSet.Parse(list).Except(Get("Cn"))
            : Class(plain) ?? throw new ArgumentException($"the property '{Codecs.Files.Printable.Shorten(name)}' is not supported");
    }

    /// <summary>The set of a POSIX class such as <c>alpha</c>; null if there is none of that name.</summary>
    public static CodePointSet? Posix(string name) => name == "punct" ? Get("P").Union(Get("S")) : name.All(char.IsAsciiLetterLower) ? Class(name) : null;

    private static CodePointSet? Class(string name)
    {
        switch (name)
        {
            case "alpha": return Get("Alphabetic");
            case "digit": return Get("Nd");
            case "alnum": return Get("Alphabetic").Union(Get("Nd"));
            case "upper": return Get("Uppercase");
            case "lower": return Get("Lowercase");
            case "space": return Space;
            case "blank": return Get("Zs").Union(CodePointSet.Of(('\t', '\t')));
            case "cntrl": return Get("Cc");
            case "punct": return Get("P");
            case "graph": return Space.Union(Get("Cc")).Union(Get("Cn")).Union(Get("Cs")).Complement();
            case "print": return Get("graph").Union(Get("Zs"));
            case "xdigit": return CodePointSet.Of(('0', '9'), ('A', 'F'), ('a', 'f'));
            case "word": return Word;
            case "ascii": return CodePointSet.Of((0, 0x7F));
            case "any": return CodePointSet.Of((0, CodePointSet.Limit - 1));
            case "assigned": return Get("Cn").Complement();
            default: return null;
        }
    }

    private static string Plain(string name) => name.Replace("_", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal)
        .Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();

    private static Dictionary<string, CodePointSet> ReadCategories()
    {
        (string Short, string Long)[] names =
        [
            ("Lu", "UppercaseLetter"), ("Ll", "LowercaseLetter"), ("Lt", "TitlecaseLetter"), ("Lm", "ModifierLetter"), ("Lo", "OtherLetter"),
            ("Mn", "NonspacingMark"), ("Mc", "SpacingMark"), ("Me", "EnclosingMark"), ("Nd", "DecimalNumber"), ("Nl", "LetterNumber"),
            ("No", "OtherNumber"), ("Zs", "SpaceSeparator"), ("Zl", "LineSeparator"), ("Zp", "ParagraphSeparator"), ("Cc", "Control"),
            ("Cf", "Format"), ("Cs", "Surrogate"), ("Co", "PrivateUse"), ("Pc", "ConnectorPunctuation"), ("Pd", "DashPunctuation"),
            ("Ps", "OpenPunctuation"), ("Pe", "ClosePunctuation"), ("Pi", "InitialPunctuation"), ("Pf", "FinalPunctuation"),
            ("Po", "OtherPunctuation"), ("Sm", "MathSymbol"), ("Sc", "CurrencySymbol"), ("Sk", "ModifierSymbol"), ("So", "OtherSymbol"),
            ("Cn", "Unassigned"),
        ];
        var ranges = new List<(int First, int Last)>[names.Length];
        for (int point = 0, first = 0; point < CodePointSet.Limit; point++)
        {
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(point);
            if (point + 1 == CodePointSet.Limit || CharUnicodeInfo.GetUnicodeCategory(point + 1) != category)
            {
                (ranges[(int)category] ??= []).Add((first, point));
                first = point + 1;
            }
        }

        var result = new Dictionary<string, CodePointSet>();
        (string Short, string Long)[] groups =
            [("L", "Letter"), ("M", "Mark"), ("N", "Number"), ("Z", "Separator"), ("C", "Other"), ("P", "Punctuation"), ("S", "Symbol")];
        foreach ((string name, string longName) in groups)
        {
            result[Plain(name)] = result[Plain(longName)] = CodePointSet.Of(
                [.. names.Select((entry, i) => (entry.Short, i)).Where(entry => entry.Short[0] == name[0]).SelectMany(entry => ranges[entry.i])]);
        }

        for (int i = 0; i < names.Length; i++)
        {
            result[Plain(names[i].Short)] = result[Plain(names[i].Long)] = CodePointSet.Of([.. ranges[i]]);
        }

        var spaces = new List<(int First, int Last)>();
        for (int point = 0; point <= 0x3000; point++)
        {
            if (Rune.IsValid(point) && Rune.IsWhiteSpace(new Rune(point)))
            {
                spaces.Add((point, point));
            }
        }

        result[Plain("WhiteSpace")] = CodePointSet.Of([.. spaces]);
        return result;
    }

    private static Dictionary<string, string> ReadLists()
    {
        using Stream stream = typeof(UnicodeSets).Assembly.GetManifestResourceStream("unicode-sets.txt")!;
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var lists = new Dictionary<string, string>();
        while (reader.ReadLine() is string line)
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            lists.Add(Plain(line[..space]), line[(space + 1)..]);
        }

        return lists;
    }
}
