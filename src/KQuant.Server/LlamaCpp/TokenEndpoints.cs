using System.Text.Json;
using System.Text.Unicode;
using KQuant.Models.Tokenizers;
using KQuant.Server.Chat;
using KQuant.Server.OpenAI;
using KQuant.Server.Protocol;

namespace KQuant.Server.LlamaCpp;

/// <summary>Texts and their tokens, as llama-server has them: <c>/tokenize</c>, <c>/detokenize</c> and <c>/apply-template</c>.</summary>
internal static class TokenEndpoints
{
    /// <summary>The tokens of a text.</summary>
    public static async Task TokenizeAsync(ApiCall call)
    {
        JsonFields body = await call.ReadBodyAsync().ConfigureAwait(false);
        Tokenizer tokenizer = call.Served.Model.Tokenizer;
        bool hasPieces = body.Flag("with_pieces") ?? false;
        int[] tokens = tokenizer.Encode(
            body.Text("content") ?? throw body.Missing("content"), body.Flag("add_special") ?? false, body.Flag("parse_special") ?? true);
        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            writer.WriteStartArray("tokens");
            foreach (int token in tokens)
            {
                if (hasPieces)
                {
                    WritePiece(writer, tokenizer, token);
                }
                else
                {
                    writer.WriteNumberValue(token);
                }
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    /// <summary>The text of tokens.</summary>
    public static async Task DetokenizeAsync(ApiCall call)
    {
        JsonFields body = await call.ReadBodyAsync().ConfigureAwait(false);
        int[] tokens = TextFields.ReadTokens(body.List("tokens") ?? throw body.Missing("tokens"), call.Served);
        await WriteTextAsync(call, "content", call.Served.Model.Tokenizer.Decode(tokens)).ConfigureAwait(false);
    }

    /// <summary>What the chat template makes of a conversation.</summary>
    public static async Task ApplyTemplateAsync(ApiCall call)
    {
        ChatBody body = ChatBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        await WriteTextAsync(call, "prompt", ChatText.Render(call.Served, body.Prompt, call.Aborted)).ConfigureAwait(false);
    }

    private static void WritePiece(Utf8JsonWriter writer, Tokenizer tokenizer, int token)
    {
        ReadOnlySpan<byte> bytes = TokenProbabilities.BytesOf(tokenizer, token);
        writer.WriteStartObject();
        writer.WriteNumber("id", token);
        if (Utf8.IsValid(bytes))
        {
            writer.WriteString("piece", bytes);
        }
        else
        {
            writer.WriteStartArray("piece");
            foreach (byte value in bytes)
            {
                writer.WriteNumberValue(value);
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    private static Task WriteTextAsync(ApiCall call, string name, string text) => call.WriteAsync(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString(name, text);
        writer.WriteEndObject();
    });
}
