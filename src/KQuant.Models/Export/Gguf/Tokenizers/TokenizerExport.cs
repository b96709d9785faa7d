using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;
using KQuant.Models.Templates;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// The tokenizer of a checkpoint as metadata of a GGUF: <c>gpt2</c> for byte-level BPE, <c>llama</c> for the kind that SentencePiece makes.
/// </summary>
internal sealed class TokenizerExport
{
    private const string Prefix = SpecialTokenKinds.GgufPrefix;
    private const float AddedScore = -1000;
    private const float UnusedScore = -10000;
    private const int CodeLlamaVocabulary = 32016;
    private const int SmallCodeVocabulary = 49152;

    private static readonly string[] Phi3Tokens = ["</s>", "<unk>", "<s>", "<|endoftext|>"];

    private readonly ModelFolder _folder;
    private readonly ModelFamily _family;
    private readonly ConfigValues _values;
    private readonly int _size;
    private readonly string? _preTokenizer;
    private readonly AuxiliaryFiles _files;
    private readonly TokenizerFile? _tokenizer;
    private readonly JsonObject? _config;

    /// <param name="folder">The checkpoint.</param>
    /// <param name="reader">Its configuration.</param>
    /// <param name="size">Rows of the token embedding: a GGUF has a token for each.</param>
    /// <param name="preTokenizer">The name of the pre-tokenizer if it is known; otherwise the pattern tells.</param>
    public TokenizerExport(ModelFolder folder, CheckpointConfigReader reader, int size, string? preTokenizer)
    {
        (_folder, _family, _values, _size, _preTokenizer) = (folder, reader.Family, reader.Values, size, preTokenizer);
        _files = AuxiliaryFiles.Find(folder.Path);
        _tokenizer = _files.TryFind(TokenizerFile.Name, out string? path) ? TokenizerFile.Read(path) : null;
        _config = _files.TryFind("tokenizer_config.json", out path) ? ConfigFile.Read(path) : null;
    }

    /// <summary>Writes all keys.</summary>
    /// <exception cref="NotSupportedException">llama.cpp has no tokenizer of this kind.</exception>
    /// <exception cref="ModelFormatException">A file is broken, or the vocabulary does not fit the embedding.</exception>
    public void Write(GgufMetadata metadata) => TokenizerFile.WhileJson(_tokenizer?.Path ?? _folder.Path, metadata, (_, metadata) =>
    {
        WriteAll(metadata);
        return true;
    });

    private void WriteAll(GgufMetadata metadata)
    {
        if (_family.IsLlama && _config?["add_prefix_space"].AsBoolean() is bool addsSpace)
        {
            metadata.Set(Prefix + "add_space_prefix", addsSpace);
        }

        bool isBytes = _tokenizer is not null && GgufPreTokenizerNames.WorksOnBytes(_tokenizer);
        bool isSentencePiece = !isBytes && (_files.TryFind(SentencePieceModel.FileName, out _) || _tokenizer?.Model["byte_fallback"].AsFlag(false) == true);
        if (_tokenizer is null && !isSentencePiece)
        {
            throw new ModelFormatException(
                _folder.Path, $"there is neither {TokenizerFile.Name} nor {SentencePieceModel.FileName}, and llama.cpp loads no model without tokenizer");
        }

        Vocabulary vocabulary = isSentencePiece ? WriteSentencePieces(metadata) : WriteByteLevel(metadata);
        AvoidNameOfPhi3(metadata, vocabulary);
        WriteSpecialTokens(metadata);
        ChatTemplates.Write(metadata, TemplateFiles.OfFolder(_folder.Path, _config ?? [], TemplateOrder.LlamaCpp, _files));
        WriteNormalizer(metadata);
    }

    private NotSupportedException Refuse(string reason) => new($"{_folder.Path} cannot become a GGUF: {reason}.");

    private Vocabulary WriteByteLevel(GgufMetadata metadata)
    {
        TokenizerFile tokenizer = _tokenizer!;
        if (tokenizer.ModelType != "BPE")
        {
            throw Refuse($"its tokenizer is of type '{Printable.Shorten(tokenizer.ModelType)}', and only BPE is written here");
        }

        foreach (string setting in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            JsonPlace affix = tokenizer.Model[setting];
            if (!affix.IsNull && affix.AsText().Length > 0)
            {
                throw Refuse($"its tokenizer has {setting} '{Printable.Shorten(affix.AsText())}', which llama.cpp does not know");
            }
        }

        string name = _preTokenizer ?? GgufPreTokenizerNames.Find(tokenizer) ?? throw Refuse(
            $"llama.cpp has no pre-tokenizer that is known here by the pattern '{Printable.Shorten(GgufPreTokenizerNames.Describe(tokenizer))}'; "
            + "name one if it has");
        var vocabulary = new Vocabulary(_folder.Path, _size, 0);
        tokenizer.ReadVocabulary((id, text, _) => vocabulary.TryAdd(id, Encoding.UTF8.GetString(text), GgufTokenType.Normal, 0));
        foreach ((_, AddedToken added) in AddedTokens.Read(tokenizer.Section("added_tokens")))
        {
            vocabulary.Set(added.Id, added.GgufText(), added.GgufType(), 0);
        }

        metadata.Set(Prefix + "model", "gpt2");
        metadata.Set(Prefix + "pre", name);
        vocabulary.Write(metadata, withScores: false);
        metadata.SetStrings(Prefix + "merges", ReadMerges(tokenizer));
        return vocabulary;
    }

    private Vocabulary WriteSentencePieces(GgufMetadata metadata)
    {
        var vocabulary = new Vocabulary(_folder.Path, _size, UnusedScore);
        if (_files.TryFind(SentencePieceModel.FileName, out string? path))
        {
            int id = 0;
            foreach (SentencePieceModel.Piece piece in SentencePieceModel.Read(path))
            {
                // llama.cpp's converter takes pieces that users may type for ordinary ones, unless they are added tokens too.
                vocabulary.Set(id++, piece.Text, piece.Type == GgufTokenType.UserDefined ? GgufTokenType.Normal : piece.Type, piece.Score);
            }
        }
        else
        {
            SetMergedPieces(vocabulary, _tokenizer!);
        }

        foreach (AddedToken added in FindAddedTokens())
        {
            vocabulary.Set(added.Id, added.GgufText(), added.GgufType(), AddedScore);
        }

        metadata.Set(Prefix + "model", "llama");
        metadata.Set(Prefix + "pre", "default");
        vocabulary.Write(metadata, withScores: true);
        if (!AddsSpace())
        {
            metadata.Set(Prefix + "add_space_prefix", false);
        }

        return vocabulary;
    }

    /// <summary>
    /// Pieces without SentencePiece's scores. llama.cpp merges the pair whose piece has the highest score, so the rank of the first merge
    /// that makes a piece, negated, gives the order that the merges have.
    /// </summary>
    private void SetMergedPieces(Vocabulary vocabulary, TokenizerFile tokenizer)
    {
        if (tokenizer.ModelType != "BPE")
        {
            throw Refuse($"its tokenizer is of type '{Printable.Shorten(tokenizer.ModelType)}', and only BPE is written here");
        }

        var ranks = new Dictionary<string, int>();
        int merges = 0;
        tokenizer.ReadMerges((left, right) =>
        {
            ranks.TryAdd(Encoding.UTF8.GetString(left) + Encoding.UTF8.GetString(right), merges++);
            return null;
        });
        tokenizer.ReadVocabulary((id, text, _) =>
        {
            bool isByte = DecoderSteps.TryGetByte(text, out byte _);
            string token = Encoding.UTF8.GetString(text);
            float score = isByte ? 0 : -(ranks.TryGetValue(token, out int rank) ? rank : merges);
            return vocabulary.TryAdd(id, token, isByte ? GgufTokenType.Byte : GgufTokenType.Normal, score);
        });
    }

    /// <summary>The merges as a GGUF has them: both parts with a space between, spaces inside of them as U+0120.</summary>
    private static List<string> ReadMerges(TokenizerFile tokenizer)
    {
        var merges = new List<string>();
        tokenizer.ReadMerges((left, right) =>
        {
            merges.Add($"{Encoding.UTF8.GetString(left).Replace(' ', '\u0120')} {Encoding.UTF8.GetString(right).Replace(' ', '\u0120')}");
            return null;
        });
        return merges;
    }

    /// <summary>Added tokens of a tokenizer whose pieces are SentencePiece's: the newer files know more than the older ones.</summary>
    private IEnumerable<AddedToken> FindAddedTokens()
    {
        if (_files.TryFind("added_tokens.json", out string? path))
        {
            foreach ((string content, JsonNode? id) in ConfigFile.Read(path))
            {
                if (id.AsInteger() is long number and >= 0 && number < _size)
                {
                    yield return new AddedToken((int)number, content);
                }
            }
        }

        if (_config?["added_tokens_decoder"] is JsonObject decoder)
        {
            foreach ((string id, JsonNode? token) in decoder)
            {
                if (int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < _size
                    && token is JsonObject && token["content"].AsString() is string content)
                {
                    yield return new AddedToken(number, content) { Special = token["special"].AsBoolean() == true };
                }
            }
        }
        else
        {
            foreach ((_, AddedToken added) in _tokenizer is null ? [] : AddedTokens.Read(_tokenizer.Section("added_tokens")))
            {
                yield return added;
            }
        }
    }

    /// <summary>Whether a space is put before a text, as Llama's SentencePiece does and Gemma's does not.</summary>
    private bool AddsSpace()
    {
        if (_family.IsGemma)
        {
            return false;
        }

        if (_config?["add_prefix_space"].AsBoolean() is bool adds)
        {
            return adds;
        }

        return _tokenizer is null || Parts(_tokenizer.Section("normalizer"), "normalizers").Concat(Parts(_tokenizer.Section("pre_tokenizer"), "pretokenizers")).Any(part =>
            part.Type == "Prepend"
            || (part.Type == "Metaspace" && part["add_prefix_space"].AsFlag(true) && (part["prepend_scheme"].IsNull || part["prepend_scheme"].AsText() != "never")));
    }

    private static IEnumerable<JsonPlace> Parts(JsonPlace section, string list) => section.IsNull ? []
        : section[list].IsNull ? [section] : section[list].Elements();

    private void WriteSpecialTokens(GgufMetadata metadata)
    {
        IEnumerable<int> ends = _files.TryFind("generation_config.json", out string? path) ? SpecialTokens.ByIds(path, ConfigFile.Read(path), SpecialTokenKinds.Eos) : [];
        var special = new GgufSpecialTokens(_tokenizer, _config, _values, ends, _size);
        foreach ((string key, int id) in special.Ids)
        {
            metadata.Set(Prefix + key, (uint)id);
        }

        foreach ((string key, bool value) in special.Additions)
        {
            metadata.Set(Prefix + key, value);
        }

        // As llama.cpp's converter has it: the ids of Code Llama's tokens for filling in, and small code models that begin with nothing.
        if (_family.ModelType == "llama" && _size == CodeLlamaVocabulary)
        {
            (string, uint)[] fill = [("prefix", 32007), ("suffix", 32008), ("middle", 32009), ("eot", 32010)];
            foreach ((string key, uint id) in fill)
            {
                metadata.Set($"{Prefix}{key}_token_id", id);
            }
        }

        if (_family.IsLlama && _size == SmallCodeVocabulary)
        {
            metadata.Set(Prefix + "add_bos_token", false);
        }
    }

    private void WriteNormalizer(GgufMetadata metadata)
    {
        if (_tokenizer is not null && Parts(_tokenizer.Section("normalizer"), "normalizers").Any(part => part.Type == "Lowercase"))
        {
            metadata.Set(Prefix + "normalizer.lowercase", true);
        }
    }

    /// <summary>llama.cpp takes every model with Phi-3 in its name for one with Phi-3's tokens, and fails where they are missing.</summary>
    private static void AvoidNameOfPhi3(GgufMetadata metadata, Vocabulary vocabulary)
    {
        string name = metadata.Get("general.name", "");
        if ((name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase))
            && !vocabulary.ContainsAll(Phi3Tokens))
        {
            metadata.Set("general.name", "model");
        }
    }
}
