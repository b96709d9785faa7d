using System.Text;
using System.Text.Json;
using KQuant.Server.Chat;
using KQuant.Server.OpenAI;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.Anthropic;

/// <summary><c>POST /v1/messages</c> and <c>/v1/messages/count_tokens</c>.</summary>
internal static class MessagesEndpoint
{
    private static readonly byte[] Ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n"u8.ToArray();

    /// <summary>Answers a request.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        MessagesBody body = MessagesBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        using var run = ChatRun.Start(call.Served, body.Prompt, call.Aborted);
        string id = "msg_" + Guid.NewGuid().ToString("N");
        await (body.IsStream ? StreamAsync(call, id, run) : CollectAsync(call, id, run)).ConfigureAwait(false);
    }

    /// <summary>How many tokens a conversation has.</summary>
    public static async Task CountAsync(ApiCall call)
    {
        MessagesBody body = MessagesBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        int count = ChatText.Encode(call.Served, body.Prompt, call.Aborted).Length;
        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("input_tokens", count);
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static async Task CollectAsync(ApiCall call, string id, ChatRun run)
    {
        var blocks = new List<(AIContent First, StringBuilder Text)>();
        ChatPiece last = default;
        await foreach (ChatPiece piece in run.ReadAsync(null, call.Aborted).ConfigureAwait(false))
        {
            last = piece;
            foreach (AIContent content in piece.Contents)
            {
                if (blocks.Count == 0 || !GoesOn(blocks[^1].First, content))
                {
                    blocks.Add((content, new StringBuilder()));
                }

                blocks[^1].Text.Append(TextOf(content));
            }
        }

        await call.WriteAsync(writer =>
        {
            writer.WriteStartObject();
            WriteHead(writer, call, id);
            writer.WriteStartArray("content");
            foreach ((AIContent first, StringBuilder text) in blocks)
            {
                WriteBlock(writer, first, text.ToString(), (first as FunctionCallContent));
            }

            writer.WriteEndArray();
            WriteEnd(writer, last);
            WriteUsage(writer, run.PromptTokens, run.Texts[0].CachedTokens, run.Texts[0].GeneratedTokens);
            writer.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static async Task StreamAsync(ApiCall call, string id, ChatRun run)
    {
        EventStream stream = await call.BeginStreamAsync(Ping).ConfigureAwait(false);
        await SendAsync(stream, "message_start", writer =>
        {
            writer.WriteStartObject("message");
            WriteHead(writer, call, id);
            writer.WriteStartArray("content");
            writer.WriteEndArray();
            WriteEnd(writer, default);

            // What of it a cache has is known when the text has its place.
            WriteUsage(writer, run.PromptTokens, 0, 0);
            writer.WriteEndObject();
        }).ConfigureAwait(false);

        int index = -1;
        AIContent? open = null;
        ChatPiece last = default;
        await foreach (ChatPiece piece in run.ReadAsync(stream, call.Aborted).ConfigureAwait(false))
        {
            last = piece;
            foreach (AIContent content in piece.Contents)
            {
                if (!GoesOn(open, content))
                {
                    await EndBlockAsync().ConfigureAwait(false);
                    open = content;
                    index++;
                    await SendAsync(stream, "content_block_start", writer =>
                    {
                        writer.WriteNumber("index", index);
                        writer.WritePropertyName("content_block");
                        WriteBlock(writer, content, "", null);
                    }).ConfigureAwait(false);
                }

                await SendDeltaAsync(writer => WriteDelta(writer, content)).ConfigureAwait(false);
            }
        }

        await EndBlockAsync().ConfigureAwait(false);
        await SendAsync(stream, "message_delta", writer =>
        {
            writer.WriteStartObject("delta");
            WriteEnd(writer, last);
            writer.WriteEndObject();
            WriteUsage(writer, run.PromptTokens, run.Texts[0].CachedTokens, run.Texts[0].GeneratedTokens);
        }).ConfigureAwait(false);
        await SendAsync(stream, "message_stop", static _ => { }).ConfigureAwait(false);

        async ValueTask EndBlockAsync()
        {
            if (open is TextReasoningContent)
            {
                await SendDeltaAsync(static writer =>
                {
                    writer.WriteString("type", "signature_delta");
                    writer.WriteString("signature", "");
                }).ConfigureAwait(false);
            }

            if (open is not null)
            {
                await SendAsync(stream, "content_block_stop", writer => writer.WriteNumber("index", index)).ConfigureAwait(false);
            }
        }

        ValueTask SendDeltaAsync(Action<Utf8JsonWriter> write) => SendAsync(stream, "content_block_delta", writer =>
        {
            writer.WriteNumber("index", index);
            writer.WriteStartObject("delta");
            write(writer);
            writer.WriteEndObject();
        });
    }

    /// <summary>Sends an event, whose data name it once more.</summary>
    private static ValueTask SendAsync(EventStream stream, string name, Action<Utf8JsonWriter> write) => stream.SendAsync(
        writer =>
        {
            writer.WriteStartObject();
            writer.WriteString("type", name);
            write(writer);
            writer.WriteEndObject();
        },
        name);

    /// <summary>Whether a content belongs to the block that is open; every call is a block of its own.</summary>
    private static bool GoesOn(AIContent? open, AIContent content) => content is not FunctionCallContent && open?.GetType() == content.GetType();

    private static string TextOf(AIContent content) => content switch
    {
        TextReasoningContent thought => thought.Text,
        TextContent text => text.Text,
        _ => "",
    };

    private static void WriteHead(Utf8JsonWriter writer, ApiCall call, string id)
    {
        writer.WriteString("id", id);
        writer.WriteString("type", "message");
        writer.WriteString("role", "assistant");
        writer.WriteString("model", call.Served.Name);
    }

    /// <summary>Writes a block.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="kind">A content of its kind.</param>
    /// <param name="text">Its text.</param>
    /// <param name="call">The call with its arguments; null for none of them yet.</param>
    private static void WriteBlock(Utf8JsonWriter writer, AIContent kind, string text, FunctionCallContent? call)
    {
        writer.WriteStartObject();
        switch (kind)
        {
            case FunctionCallContent function:
                writer.WriteString("type", "tool_use");
                writer.WriteString("id", function.CallId);
                writer.WriteString("name", function.Name);
                writer.WritePropertyName("input");
                CallArguments.Write(writer, call ?? new FunctionCallContent(function.CallId, function.Name));
                break;
            case TextReasoningContent:
                writer.WriteString("type", "thinking");
                writer.WriteString("thinking", text);

                // Nothing is signed here; clients send it back as it is.
                writer.WriteString("signature", "");
                break;
            default:
                writer.WriteString("type", "text");
                writer.WriteString("text", text);
                break;
        }

        writer.WriteEndObject();
    }

    private static void WriteDelta(Utf8JsonWriter writer, AIContent content)
    {
        switch (content)
        {
            case FunctionCallContent function:
                writer.WriteString("type", "input_json_delta");
                writer.WriteString("partial_json", CallArguments.ToJson(function));
                break;
            case TextReasoningContent thought:
                writer.WriteString("type", "thinking_delta");
                writer.WriteString("thinking", thought.Text);
                break;
            default:
                writer.WriteString("type", "text_delta");
                writer.WriteString("text", TextOf(content));
                break;
        }
    }

    private static void WriteEnd(Utf8JsonWriter writer, ChatPiece last)
    {
        writer.WriteString("stop_reason", last.End switch
        {
            ChatEnd.None => null,
            ChatEnd.Length => "max_tokens",
            ChatEnd.Calls => "tool_use",
            ChatEnd.StopSequence => "stop_sequence",
            _ => "end_turn",
        });
        writer.WriteString("stop_sequence", last.End == ChatEnd.StopSequence ? last.Token.StopSequence : null);
    }

    /// <summary>Writes the numbers of tokens; those of the prompt that a cache had do not count as input.</summary>
    private static void WriteUsage(Utf8JsonWriter writer, int prompt, int cached, int output)
    {
        writer.WriteStartObject("usage");
        writer.WriteNumber("input_tokens", prompt - cached);
        writer.WriteNumber("cache_creation_input_tokens", 0);
        writer.WriteNumber("cache_read_input_tokens", cached);
        writer.WriteNumber("output_tokens", output);
        writer.WriteEndObject();
    }
}
