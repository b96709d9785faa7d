using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// llama.cpp's names for the ways in which byte-level tokenizers cut a text into words (<c>tokenizer.ggml.pre</c>). Its converter tells them
/// by the ids of a test sentence, which depend on the vocabulary; here the patterns themselves are compared.
/// </summary>
internal static class GgufPreTokenizerNames
{
    private const string Split = "split ";
    private const string DeepSeek3 = Split + WordPatterns.Digits3 + "\n" + Split + WordPatterns.Chinese + "\n" + Split + WordPatterns.DeepSeekWords;

    private const string Bytes = "bytes";
    private const string Gpt2Bytes = "bytes of words";

    /// <summary>The names that may be given by hand. llama.cpp knows more; a few of its names mean the same.</summary>
    public static string[] Names { get; } =
    [
        "llama-bpe", "qwen2", "qwen35", "gpt-2", "tekken", "gpt-4o", "deepseek-v3", "deepseek-r1-qwen", "dbrx", "smollm", "starcoder", "command-r",
        "falcon", "deepseek-llm", "deepseek-coder", "default",
    ];

    /// <summary>The name of a tokenizer's way.</summary>
    /// <returns>The name, or null when it is none that llama.cpp has.</returns>
    public static string? Find(ExportedTokenizer tokenizer) => Describe(tokenizer.PreTokenizer) switch
    {
        // The same cut under two names: Llama's takes a piece that is a token without merging it, and begins with a token of its own.
        Split + WordPatterns.Llama3 + "\n" + Bytes => tokenizer.IgnoresMerges || Has(tokenizer, "<|begin_of_text|>") ? "llama-bpe" : "dbrx",
        Split + WordPatterns.Qwen2 + "\n" + Bytes => Has(tokenizer, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>") ? "deepseek-r1-qwen" : "qwen2",
        Split + WordPatterns.Qwen35 + "\n" + Bytes => "qwen35",
        Split + WordPatterns.Gpt2 + "\n" + Bytes => "gpt-2",
        Gpt2Bytes => "gpt-2",
        "digits\n" + Gpt2Bytes => "smollm",
        Split + WordPatterns.Tekken + "\n" + Bytes => "tekken",
        Split + WordPatterns.O200k + "\n" + Bytes => "gpt-4o",
        DeepSeek3 + "\n" + Bytes => "deepseek-v3",
        _ => null,
    };

    /// <summary>Whether a tokenizer works on the bytes of the text.</summary>
    public static bool WorksOnBytes(ExportedTokenizer tokenizer) =>
        Describe(tokenizer.PreTokenizer).Split('\n').Any(step => step is Bytes or Gpt2Bytes);

    /// <summary>The steps of a pre-tokenizer, one on a line.</summary>
    public static string Describe(JsonNode? node) => string.Join('\n', Steps(node));

    private static bool Has(ExportedTokenizer tokenizer, string token) => tokenizer.Added.Any(added => added.Text == token);

    private static IEnumerable<string> Steps(JsonNode? node) => node is JsonObject step ? Steps(step) : [];

    private static IEnumerable<string> Steps(JsonObject node) => node["type"].AsString() switch
    {
        "Sequence" => (node["pretokenizers"] as JsonArray ?? []).SelectMany(part => Steps(part)),
        "Split" => [DescribeSplit(node)],
        "ByteLevel" => [node["use_regex"].AsBoolean() ?? true ? Gpt2Bytes : Bytes],
        "Digits" => [node["individual_digits"].AsBoolean() == true ? "digits" : "runs of digits"],
        null => [],
        string other => [other],
    };

    /// <summary>Keeping matches and dropping what is between comes to the same as isolating them: these patterns match everything.</summary>
    private static string DescribeSplit(JsonObject node)
    {
        string pattern = node["pattern"] is JsonObject given ? (given["Regex"] ?? given["String"]).AsString() ?? "" : "";
        string behavior = node["behavior"].AsString() ?? "";
        bool inverts = node["invert"].AsBoolean() == true;
        string kind = behavior == "Isolated" || (behavior == "Removed" && inverts) ? Split : $"split {behavior} ";
        return kind + pattern.Replace("\r", @"\r", StringComparison.Ordinal).Replace("\n", @"\n", StringComparison.Ordinal);
    }
}
