using System.Runtime.InteropServices;
using System.Text.Json;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary><c>POST /v1/embeddings</c>.</summary>
internal static class EmbeddingsEndpoint
{
    /// <summary>Texts of a request; OpenAI's own limit.</summary>
    private const int MostTexts = 2048;

    /// <summary>Answers a request.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        JsonFields body = await call.ReadBodyAsync().ConfigureAwait(false);
        ServedModel served = call.Served;
        int width = served.Model.Config.HiddenSize;
        int dimensions = body.Integer("dimensions", 1, width) ?? width;
        bool isBase64 = body.Choice("encoding_format", "float", "base64") == "base64";
        IReadOnlyList<int[]> texts = TextFields.Read(body, "input", served, MostTexts, parseSpecialTokens: false);
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i].Length > served.Model.ContextLength)
            {
                throw new ApiException(
                    StatusCodes.Status400BadRequest,
                    $"Text {i} of 'input' has {texts[i].Length} tokens; the context has {served.Model.ContextLength}.",
                    "input",
                    "context_length_exceeded");
            }
        }

        float[][] vectors = await served.Embeddings.EmbedAsync(texts, dimensions, call.Aborted).ConfigureAwait(false);
        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            writer.WriteString("object", "list");
            writer.WriteStartArray("data");
            for (int i = 0; i < vectors.Length; i++)
            {
                writer.WriteStartObject();
                writer.WriteString("object", "embedding");
                writer.WriteNumber("index", i);
                Write(writer, vectors[i], isBase64);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteString("model", served.Name);
            int tokens = texts.Sum(text => text.Length);
            writer.WriteStartObject("usage");
            writer.WriteNumber("prompt_tokens", tokens);
            writer.WriteNumber("total_tokens", tokens);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static void Write(Utf8JsonWriter writer, float[] vector, bool isBase64)
    {
        if (isBase64)
        {
            // Little-endian, as every machine that .NET runs on.
            writer.WriteBase64String("embedding", MemoryMarshal.AsBytes<float>(vector));
            return;
        }

        writer.WriteStartArray("embedding");
        foreach (float value in vector)
        {
            writer.WriteNumberValue(value);
        }

        writer.WriteEndArray();
    }
}
