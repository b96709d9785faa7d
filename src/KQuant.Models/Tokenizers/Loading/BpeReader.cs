using System.Globalization;
using System.Text;
using System.Text.Json;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>model</c> section of a <c>tokenizer.json</c>.</summary>
internal sealed class BpeReader
{
    private readonly TokenizerFile _file;
    private readonly JsonPlace _model;
    private readonly bool _isByteLevel;
    private readonly byte[] _prefix;

    public BpeReader(TokenizerFile file, bool isByteLevel)
    {
        (_file, _model, _isByteLevel) = (file, file.Model, isByteLevel);
        _prefix = Affix(_model["continuing_subword_prefix"]);
        JsonPlace dropout = _model["dropout"];
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

    public TokenModel ReadModel(TokenTable tokens, int modelTokens)
    {
        bool fallsBack = _model["byte_fallback"].AsFlag(false);
        int[] byteIds = ByteIds(tokens, modelTokens, fallsBack, out bool complete);
        int unknown = UnknownId(tokens) ?? -1;
        MergeTable merges = ReadMerges(tokens, byteIds, fallsBack, out bool mergesBytes);
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
    private ReadOnlySpan<byte> Joined(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, ByteBuffer scratch)
    {
        scratch.Clear();
        scratch.Add(left);
        scratch.Add(right.Length < _prefix.Length ? right : right[_prefix.Length..]);
        return scratch.Bytes;
    }

    private MergeTable ReadMerges(TokenTable tokens, int[] byteIds, bool fallsBack, out bool mergesBytes)
    {
        bool mergesAnyBytes = false;
        var pairs = new List<(int Left, int Right, int Result)>();
        using var scratch = new ByteBuffer();
        _file.ReadMerges((left, right) =>
        {
            if (!tokens.TryGet(left, out int leftId) || !tokens.TryGet(right, out int rightId) || !tokens.TryGet(Joined(left, right, scratch), out int result))
            {
                return $"joins '{Printable.Shorten(left)}' and '{Printable.Shorten(right)}', which are not in the vocabulary together with what they become";
            }

            mergesAnyBytes |= fallsBack && (Array.IndexOf(byteIds, leftId) >= 0 || Array.IndexOf(byteIds, rightId) >= 0);
            pairs.Add((leftId, rightId, result));
            return null;
        });
        mergesBytes = mergesAnyBytes;
        var merges = new MergeTable(pairs.Count);
        for (int rank = 0; rank < pairs.Count; rank++)
        {
            merges.Add(pairs[rank].Left, pairs[rank].Right, rank, pairs[rank].Result, replace: true);
        }

        return merges;
    }
}
