using System.Text.Json;
using KQuant.Models.Generation;
using KQuant.Models.Tokenizers;
using KQuant.Server.Batching;
using KQuant.Server.Chat;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary><c>POST /v1/completions</c>.</summary>
internal static class CompletionEndpoint
{
    /// <summary>Answers a request.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        CompletionBody body = CompletionBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        AnswerHead head = AnswerHead.Create("cmpl-", call.Served);
        BatchPrompt[] prompts =
        [
            .. body.Prompts.SelectMany(tokens => Seeds.Spread(body.Generation, call.Served.Sampling, body.Choices).Select(options => new BatchPrompt(tokens, options))),
        ];
        using BatchRequest request = call.Served.Engine.Submit(prompts);
        if (body.IsStream)
        {
            await StreamAsync(call, body, head, request).ConfigureAwait(false);
        }
        else
        {
            await CollectAsync(call, body, head, request).ConfigureAwait(false);
        }
    }

    private static async Task CollectAsync(ApiCall call, CompletionBody body, AnswerHead head, BatchRequest request)
    {
        List<GeneratedToken>[] texts = [.. request.Texts.Select(_ => new List<GeneratedToken>())];
        await foreach (BatchToken next in request.ReadAsync(call.Served.Options.PingInterval, null, call.Aborted).ConfigureAwait(false))
        {
            texts[next.Text].Add(next.Token);
        }

        Tokenizer tokenizer = call.Served.Model.Tokenizer;
        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            head.Write(writer, "text_completion");
            writer.WriteStartArray("choices");
            for (int i = 0; i < texts.Length; i++)
            {
                string echo = Echo(body, tokenizer, request.Texts[i]);
                WriteChoice(writer, i, echo + string.Concat(texts[i].Select(token => token.Text)), texts[i][^1].FinishReason, () =>
                    WriteProbabilities(writer, tokenizer, body, texts[i], echo.Length));
            }

            writer.WriteEndArray();
            WriteTotals(writer, body, request);
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static async Task StreamAsync(ApiCall call, CompletionBody body, AnswerHead head, BatchRequest request)
    {
        Tokenizer tokenizer = call.Served.Model.Tokenizer;
        EventStream stream = await call.BeginStreamAsync().ConfigureAwait(false);
        int[] lengths = new int[request.Texts.Count];
        for (int i = 0; i < lengths.Length && body.IsEchoed; i++)
        {
            string echo = Echo(body, tokenizer, request.Texts[i]);
            lengths[i] = echo.Length;
            await SendAsync(i, echo, null).ConfigureAwait(false);
        }

        await foreach (BatchToken next in request.ReadAsync(call.Served.Options.PingInterval, stream.PingAsync, call.Aborted).ConfigureAwait(false))
        {
            if (next.Token.Text.Length > 0 || body.HasProbabilities || next.Token.FinishReason != FinishReason.None)
            {
                await SendAsync(next.Text, next.Token.Text, next.Token).ConfigureAwait(false);
                lengths[next.Text] += next.Token.Text.Length;
            }
        }

        if (body.IncludesUsage)
        {
            await stream.SendAsync(writer =>
            {
                writer.WriteStartObject();
                head.Write(writer, "text_completion");
                writer.WriteStartArray("choices");
                writer.WriteEndArray();
                WriteTotals(writer, body, request);
                writer.WriteEndObject();
            }).ConfigureAwait(false);
        }

        await stream.SendDoneAsync().ConfigureAwait(false);

        ValueTask SendAsync(int text, string piece, GeneratedToken? token) => stream.SendAsync(writer =>
        {
            writer.WriteStartObject();
            head.Write(writer, "text_completion");
            writer.WriteStartArray("choices");
            WriteChoice(writer, text, piece, token?.FinishReason ?? FinishReason.None, () =>
                WriteProbabilities(writer, tokenizer, body, token is null ? [] : [token], lengths[text]));
            writer.WriteEndArray();
            if (body.IncludesUsage)
            {
                writer.WriteNull("usage");
            }

            writer.WriteEndObject();
        });
    }

    private static string Echo(CompletionBody body, Tokenizer tokenizer, BatchText text) => body.IsEchoed ? tokenizer.Decode(text.Prompt, skipSpecialTokens: true) : "";

    private static void WriteChoice(Utf8JsonWriter writer, int index, string text, FinishReason reason, Action writeProbabilities)
    {
        writer.WriteStartObject();
        writer.WriteString("text", text);
        writer.WriteNumber("index", index);
        writeProbabilities();
        writer.WriteString("finish_reason", reason switch { FinishReason.None => null, FinishReason.Length => "length", _ => "stop" });
        writer.WriteEndObject();
    }

    private static void WriteTotals(Utf8JsonWriter writer, CompletionBody body, BatchRequest request)
    {
        Totals.WriteUsage(writer, body.Prompts.Sum(prompt => prompt.Length), request.Texts, 0);
        Totals.WriteTimings(writer, request.Texts);
    }

    private static void WriteProbabilities(Utf8JsonWriter writer, Tokenizer tokenizer, CompletionBody body, List<GeneratedToken> tokens, int offset)
    {
        if (!body.HasProbabilities || tokens.Count == 0)
        {
            writer.WriteNull("logprobs");
            return;
        }

        writer.WriteStartObject("logprobs");
        WriteList("tokens", token => writer.WriteStringValue(TokenProbabilities.TextOf(tokenizer, token.Id)));
        WriteList("token_logprobs", token => writer.WriteNumberValue(TokenProbabilities.Finite(token.LogProbability)));
        WriteList("top_logprobs", token => WriteTop(writer, tokenizer, token));
        WriteList("text_offset", token =>
        {
            writer.WriteNumberValue(offset);
            offset += token.Text.Length;
        });
        writer.WriteEndObject();

        void WriteList(string name, Action<GeneratedToken> write)
        {
            writer.WriteStartArray(name);
            foreach (GeneratedToken token in tokens)
            {
                write(token);
            }

            writer.WriteEndArray();
        }
    }

    /// <summary>An object by the texts of tokens; where several tokens are the same text, the most likely one counts.</summary>
    private static void WriteTop(Utf8JsonWriter writer, Tokenizer tokenizer, GeneratedToken token)
    {
        writer.WriteStartObject();
        foreach (TokenProbability top in token.Top.DistinctBy(top => TokenProbabilities.TextOf(tokenizer, top.Id)))
        {
            writer.WriteNumber(TokenProbabilities.TextOf(tokenizer, top.Id), TokenProbabilities.Finite(top.LogProbability));
        }

        writer.WriteEndObject();
    }
}
