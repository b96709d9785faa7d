using System.Globalization;
using System.Text;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the tokenizer in the metadata of a GGUF file, with the meaning that llama.cpp gives it.</summary>
internal sealed class GgufTokenizer
{
    private const string Keys = SpecialTokenKinds.GgufPrefix;

    /// <summary>Texts of tokens that end generation in some family of models.</summary>
    private static readonly string[] EndTexts =
    [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>",
        "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<｜end▁of▁sentence｜>", "[e~[",
    ];

    private readonly string _path;
    private readonly GgufMetadata _metadata;
    private readonly int[] _types;
    private readonly TokenTable _tokens;

    private GgufTokenizer(string path, GgufMetadata metadata)
    {
        (_path, _metadata) = (path, metadata);
        GgufStrings spellings = metadata.GetStrings(Keys + "tokens");
        if (spellings.Count is 0 or > TokenizerFile.MaxTokens)
        {
            throw new ModelFormatException(path, $"{Keys}tokens has {spellings.Count} tokens; 1 to {TokenizerFile.MaxTokens} are taken");
        }

        _types = metadata.ContainsKey(Keys + "token_type") ? ReadTypes(metadata) : [];
        if (_types.Length != 0 && _types.Length < spellings.Count)
        {
            throw new ModelFormatException(path, $"{Keys}token_type has {_types.Length} elements for {spellings.Count} tokens");
        }

        using var builder = new TokenTable.Builder();
        for (int id = 0; id < spellings.Count; id++)
        {
            using HeldBytes held = spellings.AcquireUtf8(id);
            ReadOnlySpan<byte> spelling = held.Span;
            builder.TryAdd(id, spelling.IsEmpty ? Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"[EMPTY_{id}]")) : spelling);
        }

        _tokens = builder.Build();
        if (_tokens.Duplicate is (int first, int second))
        {
            throw new ModelFormatException(path, $"{Keys}tokens has '{Printable.Shorten(_tokens[first])}' twice, as {first} and as {second}");
        }
    }

    /// <summary>The types of the tokens; most writers store int32, some another integer.</summary>
    private static int[] ReadTypes(GgufMetadata metadata)
    {
        const string Key = Keys + "token_type";
        GgufValue value = metadata[Key];
        if (value.TryGetArray(out int[]? types))
        {
            return types;
        }

        var converted = new int[value.Count];
        int i = 0;
        foreach (GgufValue element in value.GetElements())
        {
            // The exact kind is asked for when it is none of the integers, which tells what is wrong.
            converted[i++] = element.TryGetInteger(out long type) && (int)type == type ? (int)type : metadata.GetArray<int>(Key)[0];
        }

        return converted;
    }

    /// <exception cref="ModelFormatException">The metadata has no tokenizer, or one of a kind that is not known.</exception>
    public static TokenizerParts Load(string path, GgufMetadata metadata)
    {
        string key = Keys + "model";
        if (!metadata.ContainsKey(key))
        {
            throw new ModelFormatException(path, $"the file has no tokenizer: key '{key}' is missing");
        }

        string model = metadata.Get<string>(key);
        if (model is not ("gpt2" or "llama" or "gemma4"))
        {
            throw new ModelFormatException(path, $"{key} is '{Printable.Shorten(model)}', which is not supported; gpt2, llama and gemma4 are");
        }

        var reader = new GgufTokenizer(path, metadata);
        return model == "llama" ? reader.ReadSentencePiece() : reader.ReadBytePairs(model);
    }

    private GgufTokenType TypeOf(int id) => _types.Length == 0 ? GgufTokenType.Normal : (GgufTokenType)_types[id];

    private TokenizerParts ReadSentencePiece()
    {
        float[] scores = ReadScores();
        bool prefixSpace = _metadata.Get(Keys + "add_space_prefix", true);
        int unknown = Id(SpecialTokenKinds.Unknown, 0) ?? -1;
        int[] byteIds = ByteIds();
        var cuts = Array.TrueForAll(byteIds, id => id >= 0) ? new SafeCuts(_tokens, "\u2581") : null;
        Normalizer[] normalizers = [new ReplaceNormalizer(" "u8.ToArray(), "\u2581"u8.ToArray())];
        return Finish(
            new ScoreModel(_tokens, Ranks(scores), byteIds, unknown, cuts),
            prefixSpace ? [new SurroundNormalizer(" "u8.ToArray(), []), .. normalizers] : normalizers,
            steps: [],
            byteLevel: false,
            Id(SpecialTokenKinds.Bos, 1),
            Id(SpecialTokenKinds.Eos, 2),
            addsBos: true) with
        {
            UnknownId = unknown < 0 ? null : unknown,
        };
    }

    private TokenizerParts ReadBytePairs(string model)
    {
        string key = Keys + "pre";
        string name = model == "gemma4" ? "gemma4" : _metadata.Get(key, "default");
        if (!GgufPreTokenizer.TryGet(name, out GgufPreTokenizer? kind))
        {
            throw new ModelFormatException(_path, $"{key} is '{Printable.Shorten(name)}', which is not supported; the kinds are {string.Join(", ", GgufPreTokenizer.Names)}");
        }

        bool plain = kind.IsPlain;
        var byteIds = new int[256];
        for (int value = 0; value < byteIds.Length; value++)
        {
            string spelling = plain
                ? string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")
                : ByteAlphabet.ToCharacter((byte)value).ToString();
            byteIds[value] = _tokens.TryGet(Encoding.UTF8.GetBytes(spelling), out int id) ? id : -1;
        }

        PreTokenizer[] steps = kind.MakeSteps();
        var bpe = new BpeModel(new BpeParts(plain ? _tokens : BpeReader.RawBytes(_tokens, _tokens.Count), ReadMerges())
        {
            IsByteLevel = !plain,
            IgnoresMerges = kind.IgnoresMerges,
            KeepsNewlines = kind.KeepsNewlines,
            ByteIds = byteIds,
            FallsBackToBytes = plain,
            Cuts = plain && Array.TrueForAll(byteIds, id => id >= 0) ? new SafeCuts(_tokens, "\u2581") : null,
        });
        int? standard = plain ? null : 11;
        return Finish(
            bpe,
            plain ? [new ReplaceNormalizer(" "u8.ToArray(), "\u2581"u8.ToArray())] : [],
            steps,
            byteLevel: !plain,
            kind.HasNoBos ? null : Id(SpecialTokenKinds.Bos, standard),
            Id(SpecialTokenKinds.Eos, standard),
            kind.AddsBos);
    }

    private TokenizerParts Finish(
        TokenModel model, Normalizer[] normalizers, PreTokenizer[] steps, bool byteLevel, int? bos, int? eos, bool addsBos)
    {
        SortedSet<int> ends = Ends(eos);
        List<AddedToken> added = [];
        bool stripsRight = IsPhi3();
        for (int id = 0; id < _tokens.Count; id++)
        {
            if (TypeOf(id) is GgufTokenType.Unknown or GgufTokenType.Control or GgufTokenType.UserDefined && _tokens[id].Length <= AddedTokenCutter.MaxTokenBytes)
            {
                bool keepsSpace = _tokens[id].SequenceEqual("<unk>"u8) || _tokens[id].SequenceEqual("<s>"u8)
                    || _tokens[id].SequenceEqual("<|endoftext|>"u8);
                added.Add(new AddedToken(id, _tokens[id].ToArray())
                {
                    Special = TypeOf(id) != GgufTokenType.UserDefined || ends.Contains(id),
                    StripsRight = stripsRight && !keepsSpace,
                });
            }
        }

        bool begins = bos is not null && _metadata.Get(Keys + "add_bos_token", addsBos);
        bool closes = eos is not null && _metadata.Get(Keys + "add_eos_token", false);
        return new TokenizerParts
        {
            Spellings = _tokens,
            Pieces = MakePieces(ends, byteLevel, normalizers.Length > 1),
            Model = model,
            Added = added,
            Overlap = OverlapRule.LongestFirst,
            Normalizers = normalizers,
            Steps = steps,
            Prefix = begins ? [bos!.Value] : [],
            Suffix = closes ? [eos!.Value] : [],
            BeginsChats = begins,
            BosId = bos,
            EosIds = [.. ends],
            PadId = Id(SpecialTokenKinds.Padding, null),
            UnknownId = Id(SpecialTokenKinds.Unknown, null),
        };
    }

    private TokenPieces MakePieces(SortedSet<int> ends, bool byteLevel, bool prefixSpace)
    {
        var kinds = new TokenKinds[_tokens.Count];
        using var pieces = new TokenTable.Builder();
        var bytes = new byte[_tokens.MaxLength];
        for (int id = 0; id < kinds.Length; id++)
        {
            ReadOnlySpan<byte> spelling = _tokens[id];
            GgufTokenType type = TypeOf(id);
            kinds[id] = TokenKinds.Known | (type is GgufTokenType.Control or GgufTokenType.Unknown || ends.Contains(id) ? TokenKinds.Special : 0);
            if (type == GgufTokenType.Unused)
            {
                pieces.TryAdd(id, []);
            }
            else if (type != GgufTokenType.Normal && !(type == GgufTokenType.Byte && DecoderSteps.TryGetByte(spelling, out _)))
            {
                pieces.TryAdd(id, spelling);
            }
            else if (DecoderSteps.TryGetByte(spelling, out byte value) && (type == GgufTokenType.Byte || !byteLevel))
            {
                pieces.TryAdd(id, [value]);
            }
            else if (byteLevel)
            {
                pieces.TryAdd(id, ByteAlphabet.TryDecode(spelling, bytes, out int length) ? bytes.AsSpan(0, length) : spelling);
            }
            else
            {
                using var text = new ByteBuffer();
                pieces.TryAdd(id, new ReplaceNormalizer("\u2581"u8.ToArray(), " "u8.ToArray()).TryNormalize(spelling, text) ? text.Bytes : spelling);
            }
        }

        return new TokenPieces(pieces.Build(), kinds) { LeadingSpaces = prefixSpace ? 1 : 0 };
    }

    /// <summary>
    /// The tokens that end generation: those that keys name, and those of well-known texts. llama.cpp takes the latter for such whatever
    /// their type, so that in some vocabularies an ordinary piece of HTML ends the text; here they must be control or user-defined.
    /// </summary>
    private SortedSet<int> Ends(int? eos)
    {
        var ends = new SortedSet<int>();
        foreach (int? id in SpecialTokenKinds.Ends.Skip(1).Concat(SpecialTokenKinds.FillEnds).Select(key => Id(key, null)).Prepend(eos))
        {
            if (id is int known)
            {
                ends.Add(known);
            }
        }

        foreach (string text in EndTexts)
        {
            if (Find(text) is int id && TypeOf(id) is GgufTokenType.Control or GgufTokenType.UserDefined)
            {
                ends.Add(id);
            }
        }

        bool HasEnd(string text) => Find(text) is int id && ends.Contains(id);
        if (HasEnd("<|call|>") && (HasEnd("<|return|>") || HasEnd("<|flush|>")))
        {
            ends.Remove(Find("<|end|>") ?? -1);
        }

        if (HasEnd("<|tool_response>"))
        {
            ends.Remove(Find("</s>") ?? -1);
        }

        return ends;
    }

    private int? Find(string text) => _tokens.TryGet(Encoding.UTF8.GetBytes(text), out int id) ? id : null;

    /// <summary>The id that a key names; one beyond the vocabulary counts as none, as in llama.cpp.</summary>
    private int? Id(string name, int? standard)
    {
        long? id = _metadata.ContainsKey(Keys + name) ? _metadata.GetInteger(Keys + name) : standard;
        return id >= 0 && id < _tokens.Count ? (int)id : null;
    }

    /// <summary>Whether special tokens take the white space behind them along, which GGUF has no key for.</summary>
    private bool IsPhi3()
    {
        string name = _metadata.Get("general.name", "") + " " + _metadata.Get(Keys + "pre", "");
        return name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase);
    }

    private float[] ReadScores()
    {
        string key = Keys + "scores";
        float[] scores = !_metadata.TryGetValue(key, out GgufValue? value) ? new float[_tokens.Count]
            : value.TryGetArray(out int[]? whole) ? Array.ConvertAll(whole, score => (float)score)
            : _metadata.GetArray<float>(key);
        return scores.Length >= _tokens.Count && !Array.Exists(scores, float.IsNaN)
            ? scores
            : throw new ModelFormatException(_path, $"{key} has {scores.Length} elements for {_tokens.Count} tokens, or one that is no number");
    }

    private int[] Ranks(float[] scores)
    {
        int[] order = [.. Enumerable.Range(0, _tokens.Count)];
        Array.Sort(Array.ConvertAll(order, id => -scores[id]), order);
        var ranks = new int[_tokens.Count];
        for (int i = 1; i < order.Length; i++)
        {
            ranks[order[i]] = ranks[order[i - 1]] + (scores[order[i]] == scores[order[i - 1]] ? 0 : 1);
        }

        return ranks;
    }

    private int[] ByteIds()
    {
        var ids = new int[256];
        for (int value = 0; value < ids.Length; value++)
        {
            ids[value] = Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>"))
                ?? (value < 0x80 ? Find(((char)value).ToString()) : null) ?? -1;
        }

        return ids;
    }

    private MergeTable ReadMerges()
    {
        GgufStrings merges = _metadata.GetStrings(Keys + "merges");
        var table = new MergeTable(merges.Count);
        using var pair = new ByteBuffer();
        for (int rank = 0; rank < merges.Count; rank++)
        {
            using HeldBytes held = merges.AcquireUtf8(rank);
            ReadOnlySpan<byte> text = held.Span;
            int space = text.Length < 2 ? -1 : text[1..].IndexOf((byte)' ') + 1;
            if (space <= 0)
            {
                throw new ModelFormatException(_path, $"{Keys}merges[{rank}] is '{Printable.Shorten(text)}', which is no pair of tokens");
            }

            pair.Clear();
            pair.Add(text[..space]);
            pair.Add(text[(space + 1)..]);

            // Files of pruned vocabularies keep merges of tokens that are gone.
            if (_tokens.TryGet(text[..space], out int left) && _tokens.TryGet(text[(space + 1)..], out int right)
                && _tokens.TryGet(pair.Bytes, out int result))
            {
                table.Add(left, right, rank, result, replace: false);
            }
        }

        return table;
    }
}
