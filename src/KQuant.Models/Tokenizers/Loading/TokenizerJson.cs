using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Makes a tokenizer of Hugging Face's <c>tokenizer.json</c>.</summary>
internal static class TokenizerJson
{
    /// <exception cref="ModelFormatException">The file is not well-formed or needs what is not known here.</exception>
    public static TokenizerParts Load(string path) => TokenizerFile.WhileJson(path, TokenizerFile.Read(path), static (_, file) => Build(file));

    private static TokenizerParts Build(TokenizerFile file)
    {
        JsonPlace model = file.Model;
        var components = new TokenizerComponents();
        components.AddNormalizers(file.Section("normalizer"));
        string kind = file.ModelType;
        if (kind is not ("BPE" or "WordPiece" or "Unigram"))
        {
            throw model["type"].Error($"is '{Printable.Shorten(kind)}', which is not supported; BPE, WordPiece and Unigram are");
        }

        components.AddPreTokenizers(file.Section("pre_tokenizer"), keepsSpelling: kind != "BPE" || BpeReader.HasAffixes(model));
        components.AddDecoders(file.Section("decoder"));
        BpeReader? reader = kind == "BPE" ? new BpeReader(file, components.IsByteLevel) : null;
        using var spellings = new TokenTable.Builder();
        var scores = new List<double>();
        file.ReadVocabulary((id, text, score) =>
        {
            scores.Add(score);
            return spellings.TryAdd(id, text);
        });
        int modelTokens = spellings.Count;
        AddedToken[] added = AddedTokens.Place(file.Section("added_tokens"), spellings);
        TokenTable tokens = spellings.Build();
        if (tokens.Duplicate is (int first, int second))
        {
            throw new ModelFormatException(file.Path, $"model.vocab has '{Printable.Shorten(tokens[first])}' twice, as {first} and as {second}");
        }

        added = AddedTokens.Normalize(added, components.Normalizers);
        TokenModel pieces = reader is not null ? reader.ReadModel(tokens, modelTokens)
            : kind == "Unigram" ? OtherModels.ReadUnigram(model, tokens, [.. scores])
            : OtherModels.ReadWordPiece(model, tokens);
        (int[] prefix, int[] suffix) = PostProcessor.Read(file.Section("post_processor"), tokens);
        var special = new SpecialTokens(file.Path, tokens);
        return new TokenizerParts
        {
            Spellings = tokens,
            Pieces = components.MakePieces(tokens, added),
            Model = pieces,
            Added = added,
            Normalizers = [.. components.Normalizers],
            Steps = [.. components.Steps],
            Prefix = prefix,
            Suffix = suffix,
            BosId = special.Bos ?? (prefix.Length > 0 ? prefix[0] : null),
            EosIds = special.Eos,
            PadId = special.Pad,
            UnknownId = special.Unknown ?? reader?.UnknownId(tokens) ?? (kind == "Unigram" ? (int?)model["unk_id"].AsNumber(0, scores.Count - 1) : null),
        };
    }
}
