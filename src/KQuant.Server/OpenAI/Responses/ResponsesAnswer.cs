using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Server.Batching;
using KQuant.Server.Chat;
using KQuant.Server.Hosting;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI.Responses;

/// <summary>An answer of <c>/v1/responses</c> while it comes about: items, one after another.</summary>
/// <param name="body">What was asked for.</param>
/// <param name="served">What answers.</param>
/// <param name="run">What it writes.</param>
internal sealed class ResponsesAnswer(ResponsesBody body, ServedModel served, ChatRun run)
{
    private readonly AnswerHead _head = AnswerHead.Create("resp_", served);

    /// <summary>The items; the last one may still be growing.</summary>
    public List<ResponsesItem> Items { get; } = [];

    /// <summary>Why it ended; none while it has not.</summary>
    public ChatEnd End { get; set; }

    /// <summary>What became of it.</summary>
    public string Status => End switch
    {
        ChatEnd.None => "in_progress",
        ChatEnd.Length => "incomplete",
        _ => "completed",
    };

    /// <summary>The item that a piece of text goes on with, or a new one.</summary>
    /// <returns>Whether it is new.</returns>
    public bool Open(AIContent content, out ResponsesItem item)
    {
        bool isNew = Items is not [.., { } last] || !last.TakesMore(content);
        if (isNew)
        {
            Items.Add(ResponsesItem.Begin(content));
        }

        item = Items[^1];
        return isNew;
    }

    /// <summary>What became of an item of an answer that has ended.</summary>
    public string StatusOf(ResponsesItem item) => End == ChatEnd.Length && item == Items[^1] ? "incomplete" : "completed";

    /// <summary>Writes it.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="failure">Why it could not be completed; null for nothing.</param>
    public void Write(Utf8JsonWriter writer, string? failure = null)
    {
        bool hasEnded = End != ChatEnd.None;
        writer.WriteStartObject();
        writer.WriteString("id", _head.Id);
        writer.WriteString("object", "response");
        writer.WriteNumber("created_at", _head.Created);
        writer.WriteString("status", failure is null ? Status : "failed");
        writer.WriteBoolean("background", false);
        writer.WritePropertyName("error");
        if (failure is null)
        {
            writer.WriteNullValue();
        }
        else
        {
            writer.WriteStartObject();
            writer.WriteString("code", "server_error");
            writer.WriteString("message", failure);
            writer.WriteEndObject();
        }

        writer.WritePropertyName("incomplete_details");
        if (End == ChatEnd.Length)
        {
            writer.WriteStartObject();
            writer.WriteString("reason", "max_output_tokens");
            writer.WriteEndObject();
        }
        else
        {
            writer.WriteNullValue();
        }

        writer.WriteString("model", _head.Model);
        writer.WriteStartArray("output");
        if (hasEnded)
        {
            Items.ForEach(item => item.Write(writer, StatusOf(item)));
        }

        writer.WriteEndArray();
        writer.WriteNull("previous_response_id");
        writer.WriteBoolean("store", false);
        writer.WriteString("truncation", "disabled");
        foreach ((string name, JsonNode? value) in body.Echo)
        {
            writer.WritePropertyName(name);
            if (value is null)
            {
                writer.WriteNullValue();
            }
            else
            {
                value.WriteTo(writer);
            }
        }

        if (hasEnded)
        {
            WriteUsage(writer, run.Texts[0]);
            Totals.WriteTimings(writer, run.Texts);
        }
        else
        {
            writer.WriteNull("usage");
        }

        writer.WriteEndObject();
    }

    private void WriteUsage(Utf8JsonWriter writer, BatchText text)
    {
        writer.WriteStartObject("usage");
        writer.WriteNumber("input_tokens", run.PromptTokens);
        writer.WriteStartObject("input_tokens_details");
        writer.WriteNumber("cached_tokens", text.CachedTokens);
        writer.WriteEndObject();
        writer.WriteNumber("output_tokens", text.GeneratedTokens);
        writer.WriteStartObject("output_tokens_details");
        writer.WriteNumber("reasoning_tokens", run.ReasoningTokens);
        writer.WriteEndObject();
        writer.WriteNumber("total_tokens", run.PromptTokens + text.GeneratedTokens);
        writer.WriteEndObject();
    }
}
