namespace KQuant.Models.Tokenizers;

/// <summary>
/// The regular expressions with which byte-level tokenizers cut a text into words, as <c>tokenizer.json</c> has them and as llama.cpp's names
/// (<c>tokenizer.ggml.pre</c>) stand for them.
/// </summary>
internal static class WordPatterns
{
    public const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    public const string Lead = @"[^\r\n\p{L}\p{N}]?";
    public const string Signs = @" ?[^\s\p{L}\p{N}]+[\r\n]*";
    public const string SpaceBeforeWord = @"\s+(?!\S)";
    public const string Spaces = $@"\s*[\r\n]+|{SpaceBeforeWord}|\s+";
    public const string Upper = @"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", Lower = @"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";

    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + SpaceBeforeWord + @"|\s+";
    public const string Llama3 = $@"{Contractions}|{Lead}\p{{L}}+|\p{{N}}{{1,3}}|{Signs}|{Spaces}";
    public const string Qwen2 = $@"{Contractions}|{Lead}\p{{L}}+|\p{{N}}|{Signs}|{Spaces}";
    public const string Qwen35 = $@"{Contractions}|{Lead}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{Spaces}";
    public const string Tekken = $@"{Lead}{Upper}*{Lower}+|{Lead}{Upper}+{Lower}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{Spaces}";

    public const string O200k = $@"{Lead}{Upper}*{Lower}+{Contractions}?|{Lead}{Upper}+{Lower}*{Contractions}?|\p{{N}}{{1,3}}"
        + $@"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{Spaces}";

    // DeepSeek cuts three times: numbers, Chinese and Japanese, words.
    public const string Digit = @"\p{N}", Digits = @"\p{N}+", Digits3 = @"\p{N}{1,3}";
    public const string Newline = @"[\r\n]";
    public const string Chinese = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
    public const string CjkBlocks = "[一-龥ࠀ-一가-\uD7FF]+";

    public const string DeepSeekWords =
        @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + Spaces;
}
