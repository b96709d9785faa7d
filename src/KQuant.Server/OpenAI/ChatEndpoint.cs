using System.Text.Json;
using KQuant.Models.Generation;
using KQuant.Models.Tokenizers;
using KQuant.Server.Chat;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal static class ChatEndpoint
{
    /// <summary>Answers a request.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        ChatBody body = ChatBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        AnswerHead head = AnswerHead.Create("chatcmpl-", call.Served);
        using var run = ChatRun.Start(call.Served, body.Prompt, call.Aborted);
        if (body.IsStream)
        {
            await StreamAsync(call, body, head, run).ConfigureAwait(false);
        }
        else
        {
            await CollectAsync(call, body, head, run).ConfigureAwait(false);
        }
    }

    private static async Task CollectAsync(ApiCall call, ChatBody body, AnswerHead head, ChatRun run)
    {
        ChatAnswer[] answers = [.. run.Texts.Select(_ => new ChatAnswer())];
        await foreach (ChatPiece piece in run.ReadAsync(null, call.Aborted).ConfigureAwait(false))
        {
            answers[piece.Choice].Add(piece);
        }

        Tokenizer tokenizer = call.Served.Model.Tokenizer;
        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            head.Write(writer, "chat.completion");
            writer.WriteStartArray("choices");
            for (int i = 0; i < answers.Length; i++)
            {
                writer.WriteStartObject();
                writer.WriteNumber("index", i);
                WriteMessage(writer, answers[i]);
                WriteProbabilities(writer, tokenizer, body, answers[i].Tokens);
                writer.WriteString("finish_reason", ReasonOf(answers[i].End));
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            Totals.WriteUsage(writer, run.PromptTokens, run.Texts, run.ReasoningTokens);
            Totals.WriteTimings(writer, run.Texts);
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static async Task StreamAsync(ApiCall call, ChatBody body, AnswerHead head, ChatRun run)
    {
        Tokenizer tokenizer = call.Served.Model.Tokenizer;
        EventStream stream = await call.BeginStreamAsync().ConfigureAwait(false);
        for (int i = 0; i < run.Texts.Count; i++)
        {
            await SendAsync(i, null, static writer =>
            {
                writer.WriteString("role", "assistant");
                writer.WriteString("content", "");
            }, ChatEnd.None).ConfigureAwait(false);
        }

        int[] calls = new int[run.Texts.Count];
        await foreach (ChatPiece piece in run.ReadAsync(stream, call.Aborted).ConfigureAwait(false))
        {
            // The first piece of a token has its probabilities, also when no text of it is certain yet.
            GeneratedToken? token = body.HasLogProbabilities ? piece.Token : null;
            foreach (AIContent content in piece.Contents)
            {
                if (content is FunctionCallContent function)
                {
                    int index = calls[piece.Choice]++;
                    await SendAsync(piece.Choice, token, writer => WriteCall(writer, index, function, ""), ChatEnd.None).ConfigureAwait(false);
                    await SendAsync(piece.Choice, null, writer => WriteCall(writer, index, null, CallArguments.ToJson(function)), ChatEnd.None).ConfigureAwait(false);
                }
                else
                {
                    await SendAsync(piece.Choice, token, writer => WriteText(writer, content), ChatEnd.None).ConfigureAwait(false);
                }

                token = null;
            }

            if (token is not null || piece.End != ChatEnd.None)
            {
                await SendAsync(piece.Choice, token, static _ => { }, piece.End).ConfigureAwait(false);
            }
        }

        if (body.IncludesUsage)
        {
            await stream.SendAsync(writer =>
            {
                writer.WriteStartObject();
                head.Write(writer, "chat.completion.chunk");
                writer.WriteStartArray("choices");
                writer.WriteEndArray();
                Totals.WriteUsage(writer, run.PromptTokens, run.Texts, run.ReasoningTokens);
                Totals.WriteTimings(writer, run.Texts);
                writer.WriteEndObject();
            }).ConfigureAwait(false);
        }

        await stream.SendDoneAsync().ConfigureAwait(false);

        ValueTask SendAsync(int choice, GeneratedToken? token, Action<Utf8JsonWriter> writeDelta, ChatEnd end) => stream.SendAsync(writer =>
        {
            writer.WriteStartObject();
            head.Write(writer, "chat.completion.chunk");
            writer.WriteStartArray("choices");
            writer.WriteStartObject();
            writer.WriteNumber("index", choice);
            writer.WriteStartObject("delta");
            writeDelta(writer);
            writer.WriteEndObject();
            WriteProbabilities(writer, tokenizer, body, token is null ? [] : [token]);
            writer.WriteString("finish_reason", ReasonOf(end));
            writer.WriteEndObject();
            writer.WriteEndArray();
            if (body.IncludesUsage)
            {
                writer.WriteNull("usage");
            }
            else if (end != ChatEnd.None)
            {
                Totals.WriteTimings(writer, [run.Texts[choice]]);
            }

            writer.WriteEndObject();
        });
    }

    private static void WriteMessage(Utf8JsonWriter writer, ChatAnswer answer)
    {
        writer.WriteStartObject("message");
        writer.WriteString("role", "assistant");
        writer.WriteString("content", answer.Calls.Count > 0 && answer.Text.Length == 0 ? null : answer.Text.ToString());
        writer.WriteNull("refusal");
        if (answer.Thought.Length > 0)
        {
            writer.WriteString("reasoning_content", answer.Thought.ToString());
        }

        if (answer.Calls.Count > 0)
        {
            writer.WriteStartArray("tool_calls");
            foreach (FunctionCallContent function in answer.Calls)
            {
                WriteCallObject(writer, null, function, CallArguments.ToJson(function));
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter writer, AIContent content)
    {
        if (content is TextReasoningContent thought)
        {
            // The one name is llama.cpp's and DeepSeek's, the other mlx-lm's.
            writer.WriteString("reasoning_content", thought.Text);
            writer.WriteString("reasoning", thought.Text);
        }
        else
        {
            writer.WriteString("content", ((TextContent)content).Text);
        }
    }

    private static void WriteCall(Utf8JsonWriter writer, int index, FunctionCallContent? function, string arguments)
    {
        writer.WriteStartArray("tool_calls");
        WriteCallObject(writer, index, function, arguments);
        writer.WriteEndArray();
    }

    private static void WriteCallObject(Utf8JsonWriter writer, int? index, FunctionCallContent? function, string arguments)
    {
        writer.WriteStartObject();
        if (index is int number)
        {
            writer.WriteNumber("index", number);
        }

        if (function is not null)
        {
            writer.WriteString("id", function.CallId);
            writer.WriteString("type", "function");
        }

        writer.WriteStartObject("function");
        if (function is not null)
        {
            writer.WriteString("name", function.Name);
        }

        writer.WriteString("arguments", arguments);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteProbabilities(Utf8JsonWriter writer, Tokenizer tokenizer, ChatBody body, List<GeneratedToken> tokens)
    {
        if (body.HasLogProbabilities && tokens.Count > 0)
        {
            TokenProbabilities.Write(writer, tokenizer, tokens);
        }
        else
        {
            writer.WriteNull("logprobs");
        }
    }

    private static string? ReasonOf(ChatEnd end) => end switch
    {
        ChatEnd.None => null,
        ChatEnd.Length => "length",
        ChatEnd.Calls => "tool_calls",
        _ => "stop",
    };
}
