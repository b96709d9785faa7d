using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>What llama.cpp's converter makes of a token that is cut out of a text.</summary>
internal static class GgufTokens
{
    private static readonly string[] WellKnown = ["<pad>", "<mask>", "<2mass>", "[@BOS@]"];

    /// <summary>Whether no text should contain it. Some checkpoints mark such tokens as ordinary; the converter goes by their looks.</summary>
    public static bool IsControl(this AddedToken token)
    {
        string text = token.Text;
        return token.Special || WellKnown.Contains(text)
            || (text.StartsWith("<|", StringComparison.Ordinal) && text.EndsWith("|>", StringComparison.Ordinal))
            || (text.StartsWith("<\uFF5C", StringComparison.Ordinal) && text.EndsWith("\uFF5C>", StringComparison.Ordinal))
            || (text.StartsWith("<unused", StringComparison.Ordinal) && text.EndsWith('>'));
    }

    /// <summary>Its kind in a GGUF.</summary>
    public static GgufTokenType GgufType(this AddedToken token) => token.IsControl() ? GgufTokenType.Control : GgufTokenType.UserDefined;

    /// <summary>The text as a GGUF has it: with real spaces in tokens that users may type.</summary>
    public static string GgufText(this AddedToken token) => token.IsControl() ? token.Text : token.Text.Replace('\u2581', ' ');
}
