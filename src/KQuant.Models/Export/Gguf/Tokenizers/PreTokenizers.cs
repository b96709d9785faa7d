using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// llama.cpp's names for the ways in which byte-level tokenizers cut a text into words (<c>tokenizer.ggml.pre</c>). Its converter tells them
/// by the ids of a test sentence, which depend on the vocabulary; here the patterns themselves are compared.
/// </summary>
internal static class PreTokenizers
{
    private const string Contractions = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string Spaces = @"\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Symbols = @" ?[^\s\p{L}\p{N}]+[\r\n]*";
    private const string Upper = @"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
    private const string Lower = @"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";
    private const string Lead = @"[^\r\n\p{L}\p{N}]?";

    private const string Llama3 = "split " + Contractions + @"|" + Lead + @"\p{L}+|\p{N}{1,3}|" + Symbols + "|" + Spaces;
    private const string Qwen2 = "split " + Contractions + @"|" + Lead + @"\p{L}+|\p{N}|" + Symbols + "|" + Spaces;
    private const string Qwen35 = "split " + Contractions + "|" + Lead + @"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + Spaces;
    private const string Gpt2 = @"split 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const string Tekken =
        "split " + Lead + Upper + "*" + Lower + "+|" + Lead + Upper + "+" + Lower + @"*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces;

    private const string Gpt4o =
        "split " + Lead + Upper + "*" + Lower + "+" + Contractions + "?|" + Lead + Upper + "+" + Lower + "*" + Contractions
        + @"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces;

    private const string DeepSeek3 =
        "split \\p{N}{1,3}\nsplit [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+\n"
        + @"split [!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + Spaces;

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
    public static string? Find(TokenizerJson tokenizer) => Describe(tokenizer.PreTokenizer) switch
    {
        // The same cut under two names: Llama's takes a piece that is a token without merging it, and begins with a token of its own.
        Llama3 + "\n" + Bytes => tokenizer.IgnoresMerges || Has(tokenizer, "<|begin_of_text|>") ? "llama-bpe" : "dbrx",
        Qwen2 + "\n" + Bytes => Has(tokenizer, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>") ? "deepseek-r1-qwen" : "qwen2",
        Qwen35 + "\n" + Bytes => "qwen35",
        Gpt2 + "\n" + Bytes => "gpt-2",
        Gpt2Bytes => "gpt-2",
        "digits\n" + Gpt2Bytes => "smollm",
        Tekken + "\n" + Bytes => "tekken",
        Gpt4o + "\n" + Bytes => "gpt-4o",
        DeepSeek3 + "\n" + Bytes => "deepseek-v3",
        _ => null,
    };

    /// <summary>Whether a tokenizer works on the bytes of the text.</summary>
    public static bool WorksOnBytes(TokenizerJson tokenizer) =>
        Describe(tokenizer.PreTokenizer).Split('\n').Any(step => step is Bytes or Gpt2Bytes);

    /// <summary>The steps of a pre-tokenizer, one on a line.</summary>
    public static string Describe(JsonNode? node) => string.Join('\n', Steps(node));

    private static bool Has(TokenizerJson tokenizer, string token) => tokenizer.Added.Any(added => added.Content == token);

    private static IEnumerable<string> Steps(JsonNode? node) => node?["type"].AsString() switch
    {
        "Sequence" => (node["pretokenizers"] as JsonArray ?? []).SelectMany(Steps),
        "Split" => [DescribeSplit(node)],
        "ByteLevel" => [node["use_regex"].AsBoolean() ?? true ? Gpt2Bytes : Bytes],
        "Digits" => [node["individual_digits"].AsBoolean() == true ? "digits" : "runs of digits"],
        null => [],
        string other => [other],
    };

    /// <summary>Keeping matches and dropping what is between comes to the same as isolating them: these patterns match everything.</summary>
    private static string DescribeSplit(JsonNode node)
    {
        string pattern = (node["pattern"]?["Regex"] ?? node["pattern"]?["String"]).AsString() ?? "";
        string behavior = node["behavior"].AsString() ?? "";
        bool inverts = node["invert"].AsBoolean() == true;
        string kind = behavior == "Isolated" || (behavior == "Removed" && inverts) ? "split " : $"split {behavior} ";
        return kind + pattern.Replace("\r", @"\r", StringComparison.Ordinal).Replace("\n", @"\n", StringComparison.Ordinal);
    }
}
