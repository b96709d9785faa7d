namespace KQuant.Models.Export;

/// <summary>A token that is found in the text before the model of the tokenizer sees it.</summary>
internal readonly record struct AddedToken(int Id, string Content, bool IsSpecial)
{
    private static readonly string[] WellKnown = ["<pad>", "<mask>", "<2mass>", "[@BOS@]"];

    /// <summary>Some checkpoints mark tokens as ordinary that no text should contain; llama.cpp's converter goes by their looks.</summary>
    public bool IsControl => IsSpecial || WellKnown.Contains(Content)
        || (Content.StartsWith("<|", StringComparison.Ordinal) && Content.EndsWith("|>", StringComparison.Ordinal))
        || (Content.StartsWith("<\uFF5C", StringComparison.Ordinal) && Content.EndsWith("\uFF5C>", StringComparison.Ordinal))
        || (Content.StartsWith("<unused", StringComparison.Ordinal) && Content.EndsWith('>'));

    public TokenType Type => IsControl ? TokenType.Control : TokenType.UserDefined;

    /// <summary>The text as a GGUF has it: with real spaces in tokens that users may type.</summary>
    public string Text => IsControl ? Content : Content.Replace('\u2581', ' ');
}
