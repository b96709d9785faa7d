using System.Globalization;
using System.Text;
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
}
