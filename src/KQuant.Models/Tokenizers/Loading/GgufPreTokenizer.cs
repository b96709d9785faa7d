using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models.Tokenizers;

/// <summary>What <c>tokenizer.ggml.pre</c> of a GGUF file stands for (llama.cpp's <c>llama-vocab.cpp</c>).</summary>
/// <param name="Patterns">Regular expressions; each cuts the pieces of the one before.</param>
internal sealed record GgufPreTokenizer(params string[] Patterns)
{
    private const string Any = WordPatterns.Contractions, Q = WordPatterns.Lead, Signs = WordPatterns.Signs, Space = WordPatterns.Spaces;

    // Cased letters, as of the Unicode version that the model was made with.
    private const string DeepSeekLetters = @"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ"
        + @"Ὀ-Ὅὐ-ὗ\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC"
        + @"\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F"
        + @"\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787"
        + @"\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";

    private const string Lines = @"[^\n]+|[\n]+";

    private static readonly (string Name, GgufPreTokenizer Value)[] All = [.. Make()];

    private static readonly FrozenDictionary<string, GgufPreTokenizer> Known = All.ToFrozenDictionary(pair => pair.Name, pair => pair.Value);

    /// <summary>Whether a piece that is a token is that token, whatever the merges make of it.</summary>
    public bool IgnoresMerges { get; init; }

    /// <summary>Whether a text begins with the token for that, if the file does not say.</summary>
    public bool AddsBos { get; init; }

    /// <summary>Whether the model has no use for a token that begins a text.</summary>
    public bool HasNoBos { get; init; }

    /// <summary>Whether symbols are code points with spaces as U+2581, not bytes.</summary>
    public bool IsPlain { get; init; }

    /// <summary>Whether a piece of line breaks that is a token is that token.</summary>
    public bool KeepsNewlines { get; init; }

    /// <summary>All names.</summary>
    public static IEnumerable<string> Names => Known.Keys.Order(StringComparer.Ordinal);

    /// <summary>The names of those that cut bytes with certain expressions, the usual one first.</summary>
    public static IEnumerable<string> Find(IReadOnlyList<string> patterns) =>
        All.Where(pair => !pair.Value.IsPlain && pair.Value.Patterns.SequenceEqual(patterns)).Select(pair => pair.Name);

    public static bool TryGet(string name, [NotNullWhen(true)] out GgufPreTokenizer? result) => Known.TryGetValue(name, out result);

    /// <summary>The steps that the expressions stand for.</summary>
    public PreTokenizer[] MakeSteps() =>
    [
        .. Patterns.Select(PreTokenizer (pattern) => KnownPatterns.TryGet(pattern, out Scanner? scanner)
            ? scanner
            : new RegexSplitter(new RegexMatcher(pattern), SplitBehavior.Isolated, invert: false)),
    ];

    // In each line, the name that llama.cpp's converter gives to the model that brought the pattern up comes first.
    private static List<(string Name, GgufPreTokenizer Value)> Make()
    {
        var known = new List<(string, GgufPreTokenizer)>();
        void Add(string names, GgufPreTokenizer value) => known.AddRange(names.Split(' ').Select(name => (name, value)));

        Add(
            "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
            new GgufPreTokenizer(WordPatterns.Llama3) { IgnoresMerges = true, AddsBos = true });
        Add("dbrx smaug-bpe", new GgufPreTokenizer(WordPatterns.Llama3));
        Add("glm4 chatglm-bpe", new GgufPreTokenizer(WordPatterns.Llama3) { HasNoBos = true });
        Add("qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2 megrez stablelm2", new GgufPreTokenizer(WordPatterns.Qwen2));
        Add("bailingmoe bailingmoe2 llada-moe", new GgufPreTokenizer(WordPatterns.Qwen2));
        Add("qwen35", new GgufPreTokenizer(WordPatterns.Qwen35));
        Add(
            "gpt-2 phi-2 exaone4 gigachat a.x-4.0 mellum modern-bert jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe mpt olmo "
            + "jais trillion granite-docling",
            new GgufPreTokenizer(WordPatterns.Gpt2));
        Add("smollm starcoder refact codeshell exaone minerva-7b mellum2 command-r", new GgufPreTokenizer(WordPatterns.Digit, WordPatterns.Gpt2));
        Add("falcon", new GgufPreTokenizer(@"[\p{P}\$\+<=>\^~\|`]+", WordPatterns.Gpt2, "[0-9][0-9][0-9]"));
        Add("default", new GgufPreTokenizer(@"[\p{P}\$\+<=>\^~\|]+", WordPatterns.Gpt2, WordPatterns.Digits, "[0-9][0-9][0-9]"));
        Add("deepseek-llm", new GgufPreTokenizer(WordPatterns.Newline, DeepSeekLetters, @"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", @"\s+\z", WordPatterns.CjkBlocks, WordPatterns.Digits));
        Add("deepseek-coder", new GgufPreTokenizer(WordPatterns.Newline, @"\s?\p{L}+", @"\s?\p{P}+", WordPatterns.CjkBlocks, WordPatterns.Digit));
        Add("deepseek-v3 hunyuan-dense joyai-llm hy_v4", new GgufPreTokenizer(WordPatterns.Digits3, WordPatterns.Chinese, WordPatterns.DeepSeekWords));
        Add("gpt-4o llama4 kanana2 talkie minimax-m2", new GgufPreTokenizer(WordPatterns.O200k));
        Add("tekken", new GgufPreTokenizer(WordPatterns.Tekken) { IgnoresMerges = true, AddsBos = true });
        Add("minicpm5", new GgufPreTokenizer(WordPatterns.Digits3, $@"{Any}|{Q}\p{{L}}+|\p{{N}}+|{Signs}|{Space}") { IgnoresMerges = true });
        Add("seed-coder", new GgufPreTokenizer($@"{Any}|{Q}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{Space}"));
        Add("ufakzeka", new GgufPreTokenizer($@"{Q}\p{{L}}+|\p{{N}}|{Signs}|{Space}"));
        Add("laguna", new GgufPreTokenizer(Lines, WordPatterns.Qwen2));
        Add(
            "exaone-moe",
            new GgufPreTokenizer($@"{Any}|{Q}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"));
        Add("poro-chat bloom gpt3-finnish", new GgufPreTokenizer(@" ?[^(\s|.,!?…。，、।۔،)]+"));
        Add("viking", new GgufPreTokenizer(@" ?[^(\s|.,!?…。，、।۔،)]+", @"\p{N}"));
        Add("gemma4", new GgufPreTokenizer(Lines) { IsPlain = true, KeepsNewlines = true, AddsBos = true });
        Add("sarvam-moe", new GgufPreTokenizer(Lines) { IsPlain = true });
        return known;
    }
}
