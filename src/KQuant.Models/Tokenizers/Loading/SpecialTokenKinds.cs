namespace KQuant.Models.Tokenizers;

/// <summary>The kinds of token with a meaning: what Hugging Face and what GGUF files call them.</summary>
internal static class SpecialTokenKinds
{
    /// <summary>What stands before every key of the tokenizer of a GGUF.</summary>
    public const string GgufPrefix = "tokenizer.ggml.";

    public const string Bos = "bos_token_id";
    public const string Eos = "eos_token_id";
    public const string Unknown = "unknown_token_id";
    public const string Padding = "padding_token_id";
    public const string EndOfTurn = "eot_token_id";
    public const string EndOfMessage = "eom_token_id";

    /// <summary>
    /// Kinds that both have: with <c>_token</c> behind, the key of the text in <c>tokenizer_config.json</c> and the variable of chat templates;
    /// the key of the id in a GGUF, of which one is spelled as it is.
    /// </summary>
    public static (string Name, string GgufKey)[] All { get; } =
    [
        ("bos", Bos), ("eos", Eos), ("unk", Unknown), ("sep", "seperator_token_id"), ("pad", Padding), ("cls", "cls_token_id"), ("mask", "mask_token_id"),
    ];

    /// <summary>Where a GGUF has room for tokens that end a text.</summary>
    public static string[] Ends { get; } = [Eos, EndOfTurn, EndOfMessage];

    /// <summary>Other tokens that end what a model writes: those around parts of a text that is filled in.</summary>
    public static string[] FillEnds { get; } = ["fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"];
}
