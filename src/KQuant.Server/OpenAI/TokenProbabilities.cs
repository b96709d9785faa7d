using System.Text;
using System.Text.Json;
using KQuant.Models.Generation;
using KQuant.Models.Tokenizers;

namespace KQuant.Server.OpenAI;

/// <summary>Tokens with their probabilities: natural logarithms, after penalties and grammars and at temperature 1.</summary>
internal static class TokenProbabilities
{
    /// <summary>What stands for negative infinity, which JSON has not.</summary>
    private const float Impossible = -9999;

    /// <summary>The bytes of a token; none of one that is unknown.</summary>
    public static ReadOnlySpan<byte> BytesOf(Tokenizer tokenizer, int id) => tokenizer.Pieces.IsKnown(id) ? tokenizer.Pieces.Bytes[id] : [];

    /// <summary>A token as a text.</summary>
    public static string TextOf(Tokenizer tokenizer, int id) => Encoding.UTF8.GetString(BytesOf(tokenizer, id));

    /// <summary>A logarithm as a number that JSON has.</summary>
    public static float Finite(float logarithm) => float.IsFinite(logarithm) ? logarithm : Impossible;

    /// <summary>Writes <c>logprobs</c> of a choice.</summary>
    public static void Write(Utf8JsonWriter writer, Tokenizer tokenizer, IEnumerable<GeneratedToken> tokens)
    {
        writer.WriteStartObject("logprobs");
        writer.WriteStartArray("content");
        foreach (GeneratedToken token in tokens)
        {
            writer.WriteStartObject();
            WriteToken(writer, tokenizer, token.Id, token.LogProbability);
            writer.WriteStartArray("top_logprobs");
            foreach (TokenProbability top in token.Top)
            {
                writer.WriteStartObject();
                WriteToken(writer, tokenizer, top.Id, top.LogProbability);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteNull("refusal");
        writer.WriteEndObject();
    }

    private static void WriteToken(Utf8JsonWriter writer, Tokenizer tokenizer, int id, float logarithm)
    {
        writer.WriteString("token", TextOf(tokenizer, id));
        writer.WriteNumber("logprob", Finite(logarithm));
        writer.WriteStartArray("bytes");
        foreach (byte value in BytesOf(tokenizer, id))
        {
            writer.WriteNumberValue(value);
        }

        writer.WriteEndArray();
    }
}
