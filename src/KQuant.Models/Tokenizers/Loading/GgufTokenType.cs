namespace KQuant.Models.Tokenizers;

/// <summary>What a token of a GGUF is (<c>tokenizer.ggml.token_type</c>).</summary>
internal enum GgufTokenType
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}
