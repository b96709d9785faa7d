namespace KQuant.Models.Tokenizers;

/// <summary>What each token is in a text.</summary>
/// <param name="Bytes">The bytes of each token.</param>
/// <param name="Kinds">The kind of each token.</param>
internal sealed record TokenPieces(TokenTable Bytes, TokenKinds[] Kinds)
{
    /// <summary>How many spaces are taken off the beginning of a text.</summary>
    public int LeadingSpaces { get; init; }

    /// <summary>Whether all spaces are taken off the beginning of the first token instead: they were put there by the encoder.</summary>
    public bool TrimsFirstToken { get; init; }

    /// <summary>Whether a run of byte tokens that is no UTF-8 becomes one U+FFFD for each byte.</summary>
    public bool ReplacesWholeRuns { get; init; }

    public bool IsKnown(int id) => (uint)id < (uint)Kinds.Length && (Kinds[id] & TokenKinds.Known) != 0;
}

/// <summary>Properties of a token.</summary>
[Flags]
internal enum TokenKinds : byte
{
    None = 0,

    /// <summary>There is such a token.</summary>
    Known = 1,

    /// <summary>It is control, not text.</summary>
    Special = 2,

    /// <summary>It stands for a byte that has no character of its own.</summary>
    Byte = 4,

    /// <summary>A space follows it, unless it is the last.</summary>
    EndsWord = 8,
}
