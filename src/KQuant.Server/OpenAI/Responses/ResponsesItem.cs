using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI.Responses;

/// <summary>One of the things that an answer consists of: a thought, a text or a call.</summary>
internal sealed class ResponsesItem
{
    private readonly StringBuilder _text = new();

    private ResponsesItem(string prefix, string partType, FunctionCallContent? call) =>
        (Id, PartType, Call) = (prefix + Guid.NewGuid().ToString("N"), partType, call);

    public string Id { get; }

    /// <summary>What the type of its one part is; of a call that would be its arguments.</summary>
    public string PartType { get; }

    /// <summary>The call; null for texts.</summary>
    public FunctionCallContent? Call { get; }

    /// <summary>Its text so far, or the arguments.</summary>
    public string Text => Call is null ? _text.ToString() : CallArguments.ToJson(Call);

    private bool IsThought => PartType == ReasoningPart;

    private const string ReasoningPart = "reasoning_text";

    private const string TextPart = "output_text";

    /// <summary>Begins one with what a token brought.</summary>
    public static ResponsesItem Begin(AIContent content) => content switch
    {
        TextReasoningContent => new ResponsesItem("rs_", ReasoningPart, null),
        FunctionCallContent call => new ResponsesItem("fc_", "", call),
        _ => new ResponsesItem("msg_", TextPart, null),
    };

    /// <summary>Whether more of the same belongs to it.</summary>
    public bool TakesMore(AIContent content) => Call is null && content is not FunctionCallContent && content is TextReasoningContent == IsThought;

    /// <summary>Adds text.</summary>
    /// <returns>What was added.</returns>
    public string Append(AIContent content)
    {
        string text = content is TextReasoningContent thought ? thought.Text : ((TextContent)content).Text;
        _text.Append(text);
        return text;
    }

    /// <summary>Writes it.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="status"><c>in_progress</c>, when it has no text yet, <c>completed</c> or <c>incomplete</c>.</param>
    public void Write(Utf8JsonWriter writer, string status)
    {
        bool hasText = status != "in_progress";
        writer.WriteStartObject();
        writer.WriteString("id", Id);
        writer.WriteString("type", Call is not null ? "function_call" : IsThought ? "reasoning" : "message");
        writer.WriteString("status", status);
        if (Call is not null)
        {
            writer.WriteString("call_id", Call.CallId);
            writer.WriteString("name", Call.Name);
            writer.WriteString("arguments", hasText ? Text : "");
        }
        else
        {
            if (IsThought)
            {
                writer.WriteStartArray("summary");
                writer.WriteEndArray();
            }
            else
            {
                writer.WriteString("role", "assistant");
            }

            writer.WriteStartArray("content");
            if (hasText)
            {
                WritePart(writer, Text);
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    /// <summary>Writes its one part.</summary>
    public void WritePart(Utf8JsonWriter writer, string text)
    {
        writer.WriteStartObject();
        writer.WriteString("type", PartType);
        writer.WriteString("text", text);
        if (!IsThought)
        {
            foreach (string name in (ReadOnlySpan<string>)["annotations", "logprobs"])
            {
                writer.WriteStartArray(name);
                writer.WriteEndArray();
            }
        }

        writer.WriteEndObject();
    }
}
