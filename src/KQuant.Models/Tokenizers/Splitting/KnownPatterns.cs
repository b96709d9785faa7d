using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Recognises the regular expressions of real tokenizers, alternative by alternative, so that those of one family in other combinations are
/// hand-written scanners as well.
/// </summary>
internal static class KnownPatterns
{
    private const string Upper = WordPatterns.Upper, Lower = WordPatterns.Lower, AnyCase = WordPatterns.Contractions, Q = WordPatterns.Lead;

    /// <summary>The scanner for an expression.</summary>
    /// <param name="pattern">The expression.</param>
    /// <param name="scanner">The scanner, or null.</param>
    /// <returns>Whether there is one.</returns>
    public static bool TryGet(string pattern, [NotNullWhen(true)] out Scanner? scanner)
    {
        scanner = pattern switch
        {
            WordPatterns.DeepSeekWords => new DeepSeekScanner(),
            WordPatterns.Digit => new NumberScanner(1),
            WordPatterns.Digits => new NumberScanner(int.MaxValue),
            WordPatterns.Digits3 => new NumberScanner(3),
            WordPatterns.Newline => new RangeScanner([('\n', '\n'), ('\r', '\r')], 1),
            WordPatterns.Chinese => new RangeScanner([('一', '龥'), ('\u3040', 'ゟ'), ('゠', 'ヿ')], int.MaxValue),
            WordPatterns.CjkBlocks => new RangeScanner([('一', '龥'), ('ࠀ', '一'), ('가', '\uD7FF')], int.MaxValue),
            _ => WordRulesOf(pattern) is { } rules ? new WordSplitter(rules) : null,
        };
        return scanner is not null;
    }

    private static WordRules? WordRulesOf(string pattern)
    {
        List<string> parts = Alternatives(pattern);
        var rules = new WordRules();
        int at = 0;
        bool Take(params ReadOnlySpan<string> forms)
        {
            bool found = at < parts.Count && forms.Contains(parts[at]);
            at += found ? 1 : 0;
            return found;
        }

        if (parts.Count > 7 && parts.Take(7).SequenceEqual(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]))
        {
            rules = rules with { Contractions = Contractions.LowerCase };
            at = 7;
        }
        else if (Take("'(?:[sdmt]|ll|ve|re)"))
        {
            rules = rules with { Contractions = Contractions.LowerCase };
        }
        else if (Take(AnyCase, "'(?i:[sdmt]|ll|ve|re)"))
        {
            rules = rules with { Contractions = Contractions.AnyCase };
        }

        if (Take(@" ?\p{L}+", @" ?\p{L}++"))
        {
        }
        else if (Take(Q + @"\p{L}+", @"[^\r\n\p{L}\p{N}]?+\p{L}+", @"[^\r\n\p{L}\p{N}]?+\p{L}++"))
        {
            rules = rules with { Lead = WordLead.AnyButNewline };
        }
        else if (Take(Q + @"[\p{L}\p{M}]+"))
        {
            rules = rules with { Lead = WordLead.AnyButNewline, Shape = WordShape.LettersAndMarks };
        }
        else if (rules.Contractions == Contractions.None && Take($"{Q}{Upper}*{Lower}+") && Take($"{Q}{Upper}+{Lower}*"))
        {
            rules = rules with { Lead = WordLead.AnyButNewline, Shape = WordShape.Cased };
        }
        else if (rules.Contractions == Contractions.None && Take($"{Q}{Upper}*{Lower}+{AnyCase}?") && Take($"{Q}{Upper}+{Lower}*{AnyCase}?"))
        {
            rules = rules with { Contractions = Contractions.EndOfWord, Lead = WordLead.AnyButNewline, Shape = WordShape.Cased };
        }
        else
        {
            return null;
        }

        int? numbers = Take(@" ?\p{N}+", @" ?\p{N}++") ? 0
            : Take(WordPatterns.Digits3) ? 3
            : Take(WordPatterns.Digit) ? 1
            : Take(WordPatterns.Digits) ? int.MaxValue
            : null;
        bool marks = rules.Shape == WordShape.LettersAndMarks;
        string symbols = marks ? @" ?[^\s\p{L}\p{M}\p{N}]+" : @" ?[^\s\p{L}\p{N}]+";
        SymbolTail? tail = Take(symbols, symbols + "+") ? SymbolTail.None
            : Take(symbols + @"[\r\n]*", symbols + @"+[\r\n]*", symbols + @"+[\r\n]*+") ? SymbolTail.Newlines
            : Take(symbols + @"[\r\n/]*") ? SymbolTail.NewlinesAndSlashes
            : null;
        if (numbers is null || tail is null)
        {
            return null;
        }

        rules = rules with { MaxNumbers = numbers.Value, Tail = tail.Value, NewlinesEndSpace = Take(@"\s*[\r\n]+", @"\s*[\r\n]") };
        return Take(WordPatterns.SpaceBeforeWord) && Take(@"\s+") && at == parts.Count ? rules : null;
    }

    /// <summary>The parts of an expression between the bars that are in no group and no set.</summary>
    private static List<string> Alternatives(string pattern)
    {
        var parts = new List<string>();
        int start = 0, depth = 0;
        bool inSet = false;
        for (int i = 0; i < pattern.Length; i++)
        {
            switch (pattern[i])
            {
                case '\\': i++; break;
                case '[': inSet = true; break;
                case ']': inSet = false; break;
                case '(' when !inSet: depth++; break;
                case ')' when !inSet: depth--; break;
                case '|' when !inSet && depth == 0:
                    parts.Add(pattern[start..i]);
                    start = i + 1;
                    break;
            }
        }

        parts.Add(pattern[Math.Min(start, pattern.Length)..]);
        return parts;
    }
}
