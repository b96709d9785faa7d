using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// llama.cpp's name for the way in which a byte-level tokenizer cuts a text into words (<c>tokenizer.ggml.pre</c>). Its converter tells it
/// by the ids of a test sentence, which depend on the vocabulary; here the patterns themselves are compared.
/// </summary>
internal static class GgufPreTokenizerNames
{
    private const string Bytes = "bytes";

    /// <summary>The name of a tokenizer's way.</summary>
    /// <returns>The name, or null when it is none that llama.cpp has.</returns>
    public static string? Find(TokenizerFile tokenizer)
    {
        string[] steps = [.. Steps(tokenizer.Section("pre_tokenizer"))];
        if (steps is not [.. var patterns, Bytes])
        {
            return null;
        }

        // The same cut under several names: Llama's takes a piece that is a token without merging it, and begins with a token of its own.
        string? name = GgufPreTokenizer.Find(patterns).FirstOrDefault();
        return name switch
        {
            "llama-bpe" when !tokenizer.Model["ignore_merges"].AsFlag(false) && !Has(tokenizer, "<|begin_of_text|>") => "dbrx",
            "qwen2" when Has(tokenizer, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>") => "deepseek-r1-qwen",
            _ => name,
        };
    }

    /// <summary>Whether a tokenizer works on the bytes of the text.</summary>
    public static bool WorksOnBytes(TokenizerFile tokenizer) => Steps(tokenizer.Section("pre_tokenizer")).Contains(Bytes);

    /// <summary>The steps of a pre-tokenizer, one on a line.</summary>
    public static string Describe(TokenizerFile tokenizer) => string.Join('\n', Steps(tokenizer.Section("pre_tokenizer")));

    private static bool Has(TokenizerFile tokenizer, string token) => AddedTokens.Read(tokenizer.Section("added_tokens")).Any(added => added.Token.Text == token);

    private static IEnumerable<string> Steps(JsonPlace step) => step.IsNull ? [] : step.Type switch
    {
        "Sequence" => step["pretokenizers"].Elements().SelectMany(Steps),
        "Split" => [DescribeSplit(step)],
        "ByteLevel" => step["use_regex"].AsFlag(true) ? [WordPatterns.Gpt2, Bytes] : [Bytes],
        "Digits" => [step["individual_digits"].AsFlag(false) ? WordPatterns.Digit : WordPatterns.Digits],
        var other => [other],
    };

    /// <summary>Keeping matches and dropping what is between comes to the same as isolating them: these patterns match everything.</summary>
    private static string DescribeSplit(JsonPlace step)
    {
        JsonPlace regex = step["pattern"]["Regex"];
        string behavior = step["behavior"].AsText();
        string pattern = (regex.IsNull ? step["pattern"]["String"] : regex).AsText()
            .Replace("\r", @"\r", StringComparison.Ordinal).Replace("\n", @"\n", StringComparison.Ordinal);
        bool isolates = behavior == "Isolated" || (behavior == "Removed" && step["invert"].AsFlag(false));
        return regex.IsNull ? $"{behavior} text {pattern}" : isolates ? pattern : $"{behavior} {pattern}";
    }
}
