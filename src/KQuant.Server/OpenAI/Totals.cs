using System.Text.Json;
using KQuant.Server.Batching;

namespace KQuant.Server.OpenAI;

/// <summary>How many tokens a request had, and how long they took.</summary>
internal static class Totals
{
    /// <summary>Writes <c>usage</c>.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="promptTokens">Tokens of the prompts.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="reasoningTokens">Tokens of the answers that are thoughts.</param>
    public static void WriteUsage(Utf8JsonWriter writer, int promptTokens, IReadOnlyList<BatchText> texts, int reasoningTokens)
    {
        int generated = texts.Sum(text => text.GeneratedTokens);
        writer.WriteStartObject("usage");
        writer.WriteNumber("prompt_tokens", promptTokens);
        writer.WriteNumber("completion_tokens", generated);
        writer.WriteNumber("total_tokens", promptTokens + generated);
        writer.WriteStartObject("prompt_tokens_details");
        writer.WriteNumber("cached_tokens", texts[0].CachedTokens);
        writer.WriteEndObject();
        writer.WriteStartObject("completion_tokens_details");
        writer.WriteNumber("reasoning_tokens", reasoningTokens);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    /// <summary>Writes <c>timings</c>, as llama-server has them; texts of one request run beside one another, so that the longest counts.</summary>
    public static void WriteTimings(Utf8JsonWriter writer, IReadOnlyList<BatchText> texts)
    {
        int read = texts.Sum(text => text.Prompt.Length - text.CachedTokens), generated = texts.Sum(text => text.GeneratedTokens);
        double readTime = texts.Max(text => text.PromptTime).TotalMilliseconds, decodeTime = texts.Max(text => text.DecodeTime).TotalMilliseconds;
        writer.WriteStartObject("timings");
        writer.WriteNumber("cache_n", texts.Sum(text => text.CachedTokens));
        Write(writer, "prompt", read, readTime);
        Write(writer, "predicted", generated, decodeTime);
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, string name, int count, double milliseconds)
    {
        writer.WriteNumber(name + "_n", count);
        writer.WriteNumber(name + "_ms", milliseconds);
        writer.WriteNumber(name + "_per_token_ms", count > 0 ? milliseconds / count : 0);
        writer.WriteNumber(name + "_per_second", milliseconds > 0 ? count * 1000 / milliseconds : 0);
    }
}
