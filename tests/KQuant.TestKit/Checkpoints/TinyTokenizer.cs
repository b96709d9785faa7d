using System.Globalization;
using System.Text.Json.Nodes;

namespace KQuant.TestKit;

/// <summary>Kinds of tokenizer that <see cref="TinyTokenizer"/> makes.</summary>
public enum TokenizerKind
{
    /// <summary>Bytes, cut as Qwen 2 does; nothing is added to a text.</summary>
    Qwen2,

    /// <summary>Bytes, cut as Llama 3 does; a text begins with a token of its own.</summary>
    Llama3,

    /// <summary>Characters with byte fallback, as Llama 2 and Mistral have it, without <c>tokenizer.model</c>.</summary>
    SentencePiece,
}

/// <summary>Tokenizers of 256 bytes, a few merges and a few special tokens in the layout of Hugging Face.</summary>
public static class TinyTokenizer
{
    private const string Contractions = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string Template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c>.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="kind">Which.</param>
    /// <param name="size">Rows of the embedding; the last ids stay free.</param>
    public static void Write(string path, TokenizerKind kind, int size)
    {
        (JsonObject tokenizer, JsonObject config) = kind == TokenizerKind.SentencePiece ? MakePieces() : MakeBytes(kind, size);
        File.WriteAllText(Path.Combine(path, "tokenizer.json"), tokenizer.ToJsonString());
        File.WriteAllText(Path.Combine(path, "tokenizer_config.json"), config.ToJsonString());
    }

    /// <summary>The letter that stands for a byte in GPT-2's alphabet.</summary>
    public static char Letter(int value) => value switch
    {
        (>= 33 and <= 126) or (>= 161 and <= 172) or (>= 174 and <= 255) => (char)value,
        <= 32 => (char)(256 + value),
        <= 160 => (char)(256 + 33 + value - 127),
        _ => (char)(256 + 67),
    };

    private static (JsonObject Tokenizer, JsonObject Config) MakeBytes(TokenizerKind kind, int size)
    {
        var vocabulary = new JsonObject();
        for (int value = 0; value < 256; value++)
        {
            vocabulary[Letter(value).ToString()] = value;
        }

        string[] merges = ["a b", "\u0120 ab", "t h", "th e", "\u0120 the"];
        foreach (string merge in merges)
        {
            vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        }

        bool isLlama = kind == TokenizerKind.Llama3;
        (string begin, string end) = isLlama ? ("<|begin_of_text|>", "<|end_of_text|>") : ("<|endoftext|>", "<|im_end|>");
        var tokenizer = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(
                Added(size - 10, begin, special: true), Added(size - 9, end, special: true), Added(size - 8, "<note>", special: false)),
            ["normalizer"] = isLlama ? null : new JsonObject { ["type"] = "NFC" },
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new JsonObject
                        {
                            ["Regex"] = Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + (isLlama ? "{1,3}" : "")
                                + @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
                        },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false }),
            },
            ["post_processor"] = isLlama ? Begin(begin, size - 10) : null,
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["ignore_merges"] = isLlama,
                ["vocab"] = vocabulary,
                ["merges"] = isLlama
                    ? new JsonArray([.. merges.Select(merge => (JsonNode)new JsonArray([.. merge.Split(' ').Select(part => (JsonNode)part)]))])
                    : new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
            },
        };
        var config = new JsonObject { ["eos_token"] = end, ["pad_token"] = begin, ["chat_template"] = Template };
        if (isLlama)
        {
            config["bos_token"] = begin;
        }
        else
        {
            config["bos_token"] = null;
            config["add_bos_token"] = false;
        }

        return (tokenizer, config);
    }

    private static (JsonObject Tokenizer, JsonObject Config) MakePieces()
    {
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++)
        {
            vocabulary[string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")] = vocabulary.Count;
        }

        foreach (char letter in "\u2581abcdehlort")
        {
            vocabulary[letter.ToString()] = vocabulary.Count;
        }

        // "ab" comes before "bc": abc is ab c, although bc stands first in the vocabulary.
        string[] merges = ["a b", "b c", "t h", "th e", "\u2581 the", "\u2581 a", "l l", "h e", "he ll", "hell o", "\u2581 hello"];
        foreach (string merge in (string[])["b c", .. merges.Where(merge => merge != "b c")])
        {
            vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        }

        var tokenizer = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(
                Added(0, "<unk>", special: true), Added(1, "<s>", special: true), Added(2, "</s>", special: true),
                Added(vocabulary.Count, "\u2581\u2581tab", special: false)),
            ["normalizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["normalizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Prepend", ["prepend"] = "\u2581" },
                    new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = "\u2581" }),
            },
            ["pre_tokenizer"] = null,
            ["post_processor"] = Begin("<s>", 1),
            ["decoder"] = new JsonObject { ["type"] = "Sequence", ["decoders"] = new JsonArray(new JsonObject { ["type"] = "Fuse" }) },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
            },
        };
        var config = new JsonObject
        {
            ["bos_token"] = new JsonObject { ["content"] = "<s>" },
            ["eos_token"] = "</s>",
            ["unk_token"] = "<unk>",
            ["add_bos_token"] = true,
            ["add_eos_token"] = false,
            ["chat_template"] = Template,
        };
        return (tokenizer, config);
    }

    private static JsonObject Added(int id, string content, bool special) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = !special,
        ["special"] = special,
    };

    private static JsonObject Begin(string token, int id) => new()
    {
        ["type"] = "TemplateProcessing",
        ["single"] = new JsonArray(
            new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = token, ["type_id"] = 0 } },
            new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A", ["type_id"] = 0 } }),
        ["pair"] = new JsonArray(
            new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A", ["type_id"] = 0 } },
            new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "B", ["type_id"] = 1 } }),
        ["special_tokens"] = new JsonObject { [token] = new JsonObject { ["id"] = token, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(token) } },
    };
}
