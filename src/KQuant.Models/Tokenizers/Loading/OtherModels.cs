using System.Globalization;
using System.Text;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>model</c> section of a <c>tokenizer.json</c> that is WordPiece or Unigram.</summary>
internal static class OtherModels
{
    public static TokenModel ReadWordPiece(JsonPlace model, TokenTable tokens)
    {
        string prefix = model["continuing_subword_prefix"].IsNull ? "##" : model["continuing_subword_prefix"].AsText();
        JsonPlace unknown = model["unk_token"], longest = model["max_input_chars_per_word"];
        string name = unknown.IsNull ? "[UNK]" : unknown.AsText();
        return tokens.TryGet(Encoding.UTF8.GetBytes(name), out int id)
            ? new WordPieceModel(tokens, Encoding.UTF8.GetBytes(prefix), id, longest.IsNull ? 100 : longest.AsNumber(0, int.MaxValue - 1))
            : throw unknown.Error($"is '{Printable.Shorten(name)}', which is not in the vocabulary");
    }

    public static TokenModel ReadUnigram(JsonPlace model, TokenTable tokens, double[] scores)
    {
        int unknown = model["unk_id"].AsNumber(0, scores.Length - 1);
        int[]? byteIds = null;
        if (model["byte_fallback"].AsFlag(false))
        {
            byteIds = new int[256];
            for (int value = 0; value < byteIds.Length; value++)
            {
                string spelling = string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");
                byteIds[value] = tokens.TryGet(Encoding.UTF8.GetBytes(spelling), out int id) && id < scores.Length ? id : -1;
            }
        }

        return new UnigramModel(tokens, scores, unknown, byteIds);
    }

    /// <summary>The vocabulary of a Unigram model: a list of pieces with their scores, whose places are the ids.</summary>
    public static double[] ReadScores(string path, ReadOnlySpan<byte> text, int start, TokenTable.Builder tokens)
    {
        if (start < 0)
        {
            throw new ModelFormatException(path, "model.vocab is missing");
        }

        var json = new Utf8JsonReader(text[start..]);
        json.Read();
        if (json.TokenType != JsonTokenType.StartArray)
        {
            throw new ModelFormatException(path, "model.vocab is no array", offset: start);
        }

        var scores = new List<double>();
        while (json.Read() && json.TokenType == JsonTokenType.StartArray)
        {
            long place = start + json.TokenStartIndex;
            json.Read();
            string? piece = json.TokenType == JsonTokenType.String ? json.GetString() : null;
            json.Read();
            bool isWell = json.TokenType == JsonTokenType.Number && json.TryGetDouble(out double score) && double.IsFinite(score) && piece is not null;
            score = isWell ? json.GetDouble() : 0;
            json.Read();
            byte[] bytes = Encoding.UTF8.GetBytes(piece ?? "");
            if (!isWell || json.TokenType != JsonTokenType.EndArray || bytes.Length > AddedTokenCutter.MaxTokenBytes || scores.Count >= BpeReader.MaxTokens)
            {
                throw new ModelFormatException(
                    path,
                    $"model.vocab[{scores.Count}] is no text of at most {AddedTokenCutter.MaxTokenBytes} bytes with a score, or one of more than {BpeReader.MaxTokens}",
                    offset: place);
            }

            tokens.TryAdd(scores.Count, bytes);
            scores.Add(score);
        }

        return scores.Count > 0 && json.TokenType == JsonTokenType.EndArray
            ? [.. scores]
            : throw new ModelFormatException(path, "model.vocab is empty or no list of pairs", offset: start);
    }
}
