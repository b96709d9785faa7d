using System.Text.Json;
using KQuant.Server.Chat;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI.Responses;

/// <summary>The events of an answer: numbered, each with its type twice, and every item opened, filled and closed before the next.</summary>
internal sealed class ResponsesStream
{
    private readonly EventStream _stream;
    private readonly ResponsesAnswer _answer;
    private int _next;

    private ResponsesStream(EventStream stream, ResponsesAnswer answer) => (_stream, _answer) = (stream, answer);

    /// <summary>Sends an answer as it comes about.</summary>
    public static async Task SendAsync(ApiCall call, ResponsesAnswer answer, ChatRun run)
    {
        var events = new ResponsesStream(await call.BeginStreamAsync().ConfigureAwait(false), answer);
        await events.SendAnswerAsync("response.created").ConfigureAwait(false);
        await events.SendAnswerAsync("response.in_progress").ConfigureAwait(false);
        try
        {
            await foreach (ChatPiece piece in run.ReadAsync(events._stream, call.Aborted).ConfigureAwait(false))
            {
                foreach (AIContent content in piece.Contents)
                {
                    await events.AddAsync(content).ConfigureAwait(false);
                }

                answer.End = piece.End;
            }
        }
        catch (Exception exception) when (!call.Aborted.IsCancellationRequested)
        {
            // The answer has failed; that is also an error, which every client knows.
            string reason = ApiErrors.Describe(exception).Message;
            await events.SendAsync("response.failed", writer => events.WriteAnswer(writer, reason)).ConfigureAwait(false);
            throw;
        }

        await events.CloseAsync().ConfigureAwait(false);
        await events.SendAnswerAsync("response." + answer.Status).ConfigureAwait(false);
    }

    private async ValueTask AddAsync(AIContent content)
    {
        if (_answer.Items.Count > 0 && !_answer.Items[^1].TakesMore(content))
        {
            await CloseAsync().ConfigureAwait(false);
        }

        if (_answer.Open(content, out ResponsesItem item))
        {
            await SendItemAsync("response.output_item.added", item, "in_progress").ConfigureAwait(false);
            if (item.Call is null)
            {
                await SendPartAsync("response.content_part.added", item, writer => WritePart(writer, item, "")).ConfigureAwait(false);
            }
        }

        if (item.Call is null)
        {
            string delta = item.Append(content);
            await SendPartAsync($"response.{item.PartType}.delta", item, writer => WriteText(writer, item, "delta", delta)).ConfigureAwait(false);
        }
        else
        {
            await SendAsync("response.function_call_arguments.delta", writer => WriteArguments(writer, item, "delta")).ConfigureAwait(false);
        }
    }

    /// <summary>Closes the item that was open.</summary>
    private async ValueTask CloseAsync()
    {
        if (_answer.Items is not [.., { } item])
        {
            return;
        }

        if (item.Call is null)
        {
            string text = item.Text;
            await SendPartAsync($"response.{item.PartType}.done", item, writer => WriteText(writer, item, "text", text)).ConfigureAwait(false);
            await SendPartAsync("response.content_part.done", item, writer => WritePart(writer, item, text)).ConfigureAwait(false);
        }
        else
        {
            await SendAsync("response.function_call_arguments.done", writer =>
            {
                WriteArguments(writer, item, "arguments");
                writer.WriteString("name", item.Call.Name);
            }).ConfigureAwait(false);
        }

        await SendItemAsync("response.output_item.done", item, _answer.StatusOf(item)).ConfigureAwait(false);
    }

    private void WriteAnswer(Utf8JsonWriter writer, string? failure)
    {
        writer.WritePropertyName("response");
        _answer.Write(writer, failure);
    }

    private static void WritePart(Utf8JsonWriter writer, ResponsesItem item, string text)
    {
        writer.WritePropertyName("part");
        item.WritePart(writer, text);
    }

    private static void WriteText(Utf8JsonWriter writer, ResponsesItem item, string name, string text)
    {
        writer.WriteString(name, text);
        if (item.PartType == "output_text")
        {
            writer.WriteStartArray("logprobs");
            writer.WriteEndArray();
        }
    }

    private void WriteArguments(Utf8JsonWriter writer, ResponsesItem item, string name)
    {
        writer.WriteString("item_id", item.Id);
        writer.WriteNumber("output_index", _answer.Items.Count - 1);
        writer.WriteString(name, item.Text);
    }

    private ValueTask SendAnswerAsync(string type) => SendAsync(type, writer => WriteAnswer(writer, null));

    private ValueTask SendItemAsync(string type, ResponsesItem item, string status) => SendAsync(type, writer =>
    {
        writer.WriteNumber("output_index", _answer.Items.Count - 1);
        writer.WritePropertyName("item");
        item.Write(writer, status);
    });

    private ValueTask SendPartAsync(string type, ResponsesItem item, Action<Utf8JsonWriter> write) => SendAsync(type, writer =>
    {
        writer.WriteString("item_id", item.Id);
        writer.WriteNumber("output_index", _answer.Items.Count - 1);
        writer.WriteNumber("content_index", 0);
        write(writer);
    });

    private ValueTask SendAsync(string type, Action<Utf8JsonWriter> write) => _stream.SendAsync(
        writer =>
        {
            writer.WriteStartObject();
            writer.WriteString("type", type);
            writer.WriteNumber("sequence_number", _next++);
            write(writer);
            writer.WriteEndObject();
        },
        type);
}
