using System.Collections.Immutable;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>A part of a rule, as it was written.</summary>
internal abstract record GrammarNode
{
    /// <summary>These bytes.</summary>
    public sealed record Literal(ImmutableArray<byte> Bytes) : GrammarNode;

    /// <summary>One of these characters.</summary>
    public sealed record Characters(CodePointSet Set) : GrammarNode;

    /// <summary>What another rule says.</summary>
    public sealed record Reference(string Rule) : GrammarNode;

    /// <summary>A token by its id, also one that is no text.</summary>
    public sealed record Token(int Id) : GrammarNode;

    /// <summary>One behind the other.</summary>
    public sealed record Sequence(ImmutableArray<GrammarNode> Parts) : GrammarNode;

    /// <summary>One of these.</summary>
    public sealed record Choice(ImmutableArray<GrammarNode> Parts) : GrammarNode;

    /// <summary>So many times; <paramref name="Most"/> is -1 for any number.</summary>
    public sealed record Repetition(GrammarNode Part, int Least, int Most) : GrammarNode;
}
