namespace KQuant.Models.Tokenizers;

/// <summary>What a <see cref="Tokenizer"/> is made of, whatever file it comes from.</summary>
internal sealed record TokenizerParts
{
    /// <summary>The spelling of each token.</summary>
    public required TokenTable Spellings { get; init; }

    public required TokenPieces Pieces { get; init; }

    public required TokenModel Model { get; init; }

    public IReadOnlyList<AddedToken> Added { get; init; } = [];

    public OverlapRule Overlap { get; init; }

    public Normalizer[] Normalizers { get; init; } = [];

    public PreTokenizer[] Steps { get; init; } = [];

    /// <summary>What stands before every text with special tokens.</summary>
    public int[] Prefix { get; init; } = [];

    /// <summary>What stands behind it.</summary>
    public int[] Suffix { get; init; } = [];

    /// <summary>Whether conversations begin with <see cref="BosId"/> even where a chat template does not write it.</summary>
    public bool BeginsChats { get; init; }

    public int? BosId { get; init; }

    public int? UnknownId { get; init; }

    public int? PadId { get; init; }

    public int[] EosIds { get; init; } = [];
}
