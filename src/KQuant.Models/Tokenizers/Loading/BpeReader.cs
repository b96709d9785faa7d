using System.Globalization;
using System.Text;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>model</c> section of a <c>tokenizer.json</c>.</summary>
internal sealed class BpeReader
{
    /// <summary>The largest vocabularies known have some 260 000 tokens.</summary>
    public const int MaxTokens = 1 << 21;

    private readonly string _path;
    private readonly JsonPlace _model;
    private readonly bool _isByteLevel;
    private readonly byte[] _prefix;

    public BpeReader(string path, JsonPlace model, bool isByteLevel)
    {
        (_path, _model, _isByteLevel) = (path, model, isByteLevel);
        _prefix = Affix(model["continuing_subword_prefix"]);
        JsonPlace dropout = model["dropout"];
        if (!dropout.IsNull && (dropout.Value.ValueKind != JsonValueKind.Number || dropout.Value.GetDouble() != 0))
        {
            throw dropout.Error($"is {Printable.Shorten(dropout.Value.GetRawText())}, which would make the tokens random");
        }
    }

    /// <summary>Whether tokens within a word or at its end are spelled otherwise.</summary>
    public static bool HasAffixes(JsonPlace model) => Affix(model["continuing_subword_prefix"]).Length + Affix(model["end_of_word_suffix"]).Length > 0;

    public int? UnknownId(TokenTable tokens)
    {
        JsonPlace unknown = _model["unk_token"];
        return unknown.IsNull ? null
            : tokens.TryGet(Encoding.UTF8.GetBytes(unknown.AsText()), out int id) ? id
            : throw unknown.Error($"is '{Printable.Shorten(unknown.AsText())}', which is not in the vocabulary");
    }

    /// <summary>A vocabulary that is an object of ids by token.</summary>
    public static void ReadVocabulary(string path, ReadOnlySpan<byte> text, int start, TokenTable.Builder tokens)
    {
        if (start < 0)
        {
            throw new ModelFormatException(path, "model.vocab is missing");
        }

        var json = new Utf8JsonReader(text[start..]);
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new ModelFormatException(path, "model.vocab is no object", offset: start);
        }

        using var scratch = new ByteBuffer();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            ReadOnlySpan<byte> token = Text(ref json, scratch);
            long place = start + json.TokenStartIndex;
            json.Read();
            if (json.TokenType != JsonTokenType.Number || !json.TryGetInt32(out int id) || id is < 0 or >= MaxTokens)
            {
                throw new ModelFormatException(
                    path, $"the id of '{Printable.Shorten(token)}' in model.vocab is no whole number from 0 to {MaxTokens - 1}", offset: place);
            }

            if (!tokens.TryAdd(id, token))
            {
                throw new ModelFormatException(path, $"'{Printable.Shorten(token)}' in model.vocab has the id {id} of another token", offset: place);
            }
        }

        if (tokens.Count == 0)
        {
            throw new ModelFormatException(path, "model.vocab is empty", offset: start);
        }
    }

    public TokenModel ReadModel(ReadOnlySpan<byte> text, int start, TokenTable tokens, int modelTokens)
    {
        bool fallsBack = _model["byte_fallback"].AsFlag(false);
        int[] byteIds = ByteIds(tokens, modelTokens, fallsBack, out bool complete);
        int unknown = UnknownId(tokens) ?? -1;
        MergeTable merges = ReadMerges(text, start, tokens, byteIds, fallsBack, out bool mergesBytes);
        TokenTable pieces = _isByteLevel ? RawBytes(tokens, modelTokens) : tokens;
        return new BpeModel(new BpeParts(pieces, merges)
        {
            IsByteLevel = _isByteLevel,
            IgnoresMerges = _model["ignore_merges"].AsFlag(false),
            ByteIds = byteIds,
            FallsBackToBytes = fallsBack,
            UnknownId = unknown,
            FusesUnknown = _model["fuse_unk"].AsFlag(false),
            Prefix = _prefix,
            Suffix = Affix(_model["end_of_word_suffix"]),
            Cuts = HasAffixes(_model) || _isByteLevel || mergesBytes || (unknown < 0 && !(fallsBack && complete)) ? null : new SafeCuts(tokens, "\u2581"),
        });
    }

    /// <summary>The tokens as the bytes they stand for; those with a character outside of the alphabet stand for none.</summary>
    internal static TokenTable RawBytes(TokenTable tokens, int count)
    {
        using var raw = new TokenTable.Builder();
        var bytes = new byte[tokens.MaxLength];
        for (int id = 0; id < count; id++)
        {
            if (!tokens[id].IsEmpty && ByteAlphabet.TryDecode(tokens[id], bytes, out int length))
            {
                raw.TryAdd(id, bytes.AsSpan(0, length));
            }
        }

        return raw.Build();
    }

    private static byte[] Affix(JsonPlace place) => place.IsNull ? [] : Encoding.UTF8.GetBytes(place.AsText());

    private static ReadOnlySpan<byte> Text(ref Utf8JsonReader json, ByteBuffer scratch)
    {
        if (!json.ValueIsEscaped)
        {
            return json.ValueSpan;
        }

        scratch.Clear();
        scratch.Advance(json.CopyString(scratch.Reserve(json.ValueSpan.Length)));
        return scratch.Bytes;
    }

    private int[] ByteIds(TokenTable tokens, int modelTokens, bool fallsBack, out bool complete)
    {
        var ids = new int[256];
        complete = true;
        for (int value = 0; value < ids.Length; value++)
        {
            string spelling = _isByteLevel ? ByteAlphabet.ToCharacter((byte)value).ToString()
                : fallsBack ? string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")
                : "";
            bool found = tokens.TryGet(Encoding.UTF8.GetBytes(spelling), out int id) && id < modelTokens;
            ids[value] = found && spelling.Length > 0 ? id : -1;
            complete &= ids[value] >= 0;
        }

        return ids;
    }

    /// <summary>Two halves as one token: the mark of what continues a word stands at its beginning only.</summary>
    private ReadOnlySpan<byte> Joined(ByteBuffer pair, int cut, ByteBuffer scratch)
    {
        ReadOnlySpan<byte> right = pair.Bytes[cut..];
        if (_prefix.Length == 0 || right.Length < _prefix.Length)
        {
            return pair.Bytes;
        }

        scratch.Clear();
        scratch.Add(pair.Bytes[..cut]);
        scratch.Add(right[_prefix.Length..]);
        return scratch.Bytes;
    }

    private MergeTable ReadMerges(
        ReadOnlySpan<byte> text, int start, TokenTable tokens, int[] byteIds, bool fallsBack, out bool mergesBytes)
    {
        mergesBytes = false;
        if (start < 0)
        {
            throw new ModelFormatException(_path, "model.merges is missing");
        }

        var json = new Utf8JsonReader(text[start..]);
        json.Read();
        if (json.TokenType != JsonTokenType.StartArray)
        {
            throw new ModelFormatException(_path, "model.merges is no array", offset: start);
        }

        var pairs = new List<(int Left, int Right, int Result)>();
        using ByteBuffer scratch = new(), pair = new();
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            long place = start + json.TokenStartIndex;
            pair.Clear();
            int cut = -1;
            if (json.TokenType == JsonTokenType.StartArray)
            {
                int halves = 0;
                for (; json.Read() && json.TokenType == JsonTokenType.String; halves++)
                {
                    cut = halves == 1 ? pair.Length : cut;
                    pair.Add(Text(ref json, scratch));
                }

                cut = halves == 2 && json.TokenType == JsonTokenType.EndArray ? cut : -1;
            }
            else if (json.TokenType == JsonTokenType.String)
            {
                ReadOnlySpan<byte> halves = Text(ref json, scratch);
                cut = halves.IndexOf((byte)' ');
                if (cut > 0 && halves.LastIndexOf((byte)' ') == cut)
                {
                    pair.Add(halves[..cut]);
                    pair.Add(halves[(cut + 1)..]);
                }
                else
                {
                    cut = -1;
                }
            }

            if (cut <= 0 || cut == pair.Length)
            {
                throw new ModelFormatException(_path, $"model.merges[{pairs.Count}] is no pair of tokens", offset: place);
            }

            ReadOnlySpan<byte> left = pair.Bytes[..cut], right = pair.Bytes[cut..];
            if (!tokens.TryGet(left, out int leftId) || !tokens.TryGet(right, out int rightId)
                || !tokens.TryGet(Joined(pair, cut, scratch), out int result))
            {
                throw new ModelFormatException(
                    _path,
                    $"model.merges[{pairs.Count}] joins '{Printable.Shorten(left)}' and '{Printable.Shorten(right)}', which are not in the "
                    + "vocabulary together with what they become",
                    offset: place);
            }

            mergesBytes |= fallsBack && (Array.IndexOf(byteIds, leftId) >= 0 || Array.IndexOf(byteIds, rightId) >= 0);
            pairs.Add((leftId, rightId, result));
        }

        var merges = new MergeTable(pairs.Count);
        for (int rank = 0; rank < pairs.Count; rank++)
        {
            merges.Add(pairs[rank].Left, pairs[rank].Right, rank, pairs[rank].Result, replace: true);
        }

        return merges;
    }
}
