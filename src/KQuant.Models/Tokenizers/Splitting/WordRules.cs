namespace KQuant.Models.Tokenizers;

/// <summary>How a family of regular expressions treats <c>'s</c>, <c>'re</c> and their like.</summary>
internal enum Contractions
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>A piece of their own, lower case only.</summary>
    LowerCase,

    /// <summary>A piece of their own, in any case.</summary>
    AnyCase,

    /// <summary>The end of the word before, in any case.</summary>
    EndOfWord,
}

/// <summary>What may stand in front of a word in its piece.</summary>
internal enum WordLead
{
    /// <summary>One space: <c> ?</c>.</summary>
    Space,

    /// <summary>One character that is no letter, number, CR or LF: <c>[^\r\n\p{L}\p{N}]?</c>.</summary>
    AnyButNewline,
}

/// <summary>How words end.</summary>
internal enum WordShape
{
    /// <summary><c>\p{L}+</c>.</summary>
    Letters,

    /// <summary><c>[\p{L}\p{M}]+</c>; marks are no symbols then.</summary>
    LettersAndMarks,

    /// <summary>Letters and marks, with a cut where lower case turns to upper case.</summary>
    Cased,
}

/// <summary>What symbols take along behind them.</summary>
internal enum SymbolTail
{
    None,
    Newlines,
    NewlinesAndSlashes,
}

/// <summary>
/// The points in which the regular expressions of GPT-2, Llama 3, Qwen 2, Qwen 3.5, GPT-4o and Tekken differ; <see cref="WordSplitter"/>
/// does the rest.
/// </summary>
internal sealed record WordRules
{
    public Contractions Contractions { get; init; }

    public WordLead Lead { get; init; }

    public WordShape Shape { get; init; }

    /// <summary>The longest piece of numbers; 0 for any length, with a space in front.</summary>
    public int MaxNumbers { get; init; }

    public SymbolTail Tail { get; init; }

    /// <summary>Whether white space with a line break in it ends behind the last line break: <c>\s*[\r\n]+</c>.</summary>
    public bool NewlinesEndSpace { get; init; }

    /// <summary><c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.</summary>
    public static WordRules Gpt2 { get; } = new() { Contractions = Contractions.LowerCase };

    public static WordRules Llama3 { get; } = new()
    {
        Contractions = Contractions.AnyCase,
        Lead = WordLead.AnyButNewline,
        MaxNumbers = 3,
        Tail = SymbolTail.Newlines,
        NewlinesEndSpace = true,
    };

    public static WordRules Qwen2 { get; } = Llama3 with { MaxNumbers = 1 };

    public static WordRules Qwen35 { get; } = Qwen2 with { Shape = WordShape.LettersAndMarks };

    public static WordRules O200k { get; } = Llama3 with
    {
        Contractions = Contractions.EndOfWord,
        Shape = WordShape.Cased,
        Tail = SymbolTail.NewlinesAndSlashes,
    };

    public static WordRules Tekken { get; } = O200k with { Contractions = Contractions.None, MaxNumbers = 1 };
}
