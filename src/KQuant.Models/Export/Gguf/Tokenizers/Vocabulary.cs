using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>The tokens of a GGUF by their ids. Ids without a token become <c>[PAD7]</c>, as in llama.cpp's converter.</summary>
internal sealed class Vocabulary
{
    private readonly string _path;
    private readonly string?[] _tokens;
    private readonly int[] _types;
    private readonly float[] _scores;

    public Vocabulary(string path, int size, float unusedScore)
    {
        (_path, _tokens, _types, _scores) = (path, new string?[size], new int[size], new float[size]);
        Array.Fill(_types, (int)GgufTokenType.Unused);
        Array.Fill(_scores, unusedScore);
    }

    /// <summary>Sets a token, or replaces it.</summary>
    /// <exception cref="ModelFormatException">The embedding has no row for it.</exception>
    public void Set(int id, string token, GgufTokenType type, float score)
    {
        if (id >= _tokens.Length)
        {
            throw new ModelFormatException(
                _path, $"token '{Printable.Shorten(token)}' has id {id}, but the token embedding has {_tokens.Length} rows");
        }

        (_tokens[id], _types[id], _scores[id]) = (token, (int)type, score);
    }

    /// <summary>Sets a token of the model.</summary>
    /// <returns>False if its id has one.</returns>
    /// <exception cref="ModelFormatException">The embedding has no row for it.</exception>
    public bool TryAdd(int id, string token, GgufTokenType type, float score)
    {
        bool isFree = id >= _tokens.Length || _tokens[id] is null;
        if (isFree)
        {
            Set(id, token, type, score);
        }

        return isFree;
    }

    public bool ContainsAll(IEnumerable<string> tokens) => tokens.All(token => _tokens.Contains(token));

    public void Write(GgufMetadata metadata, bool withScores)
    {
        metadata.SetStrings("tokenizer.ggml.tokens", Complete());
        if (withScores)
        {
            metadata.SetArray<float>("tokenizer.ggml.scores", _scores);
        }

        metadata.SetArray<int>("tokenizer.ggml.token_type", _types);
    }

    /// <exception cref="ModelFormatException">Two tokens have the same text, which llama.cpp does not survive.</exception>
    private string[] Complete()
    {
        var ids = new Dictionary<string, int>(_tokens.Length);
        var complete = new string[_tokens.Length];
        for (int id = 0; id < complete.Length; id++)
        {
            complete[id] = _tokens[id] ?? $"[PAD{id}]";
            if (!ids.TryAdd(complete[id], id))
            {
                throw new ModelFormatException(
                    _path, $"tokens {ids[complete[id]]} and {id} are both '{Printable.Shorten(complete[id])}', which llama.cpp does not load");
            }
        }

        return complete;
    }
}
