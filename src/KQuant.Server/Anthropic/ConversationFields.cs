using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Templates;
using KQuant.Server.Hosting;
using KQuant.Server.OpenAI;
using KQuant.Server.Protocol;

namespace KQuant.Server.Anthropic;

/// <summary>Messages of a conversation as Anthropic's interface has them: blocks of text, calls and their results.</summary>
internal static class ConversationFields
{
    /// <summary>Reads the system prompt and the messages.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="served">How its model writes thoughts decides where they stand.</param>
    /// <exception cref="ApiException">Something in them is wrong.</exception>
    public static List<TemplateMessage> Read(JsonFields body, ServedModel served)
    {
        var messages = new List<TemplateMessage>();
        if (MessageFields.ReadContent(body, "system", "text") is { Length: > 0 } system)
        {
            messages.Add(new TemplateMessage("system", system));
        }

        int given = messages.Count;
        foreach ((JsonElement item, string path) in body.List("messages") ?? throw body.Missing("messages"))
        {
            var message = new JsonFields(item, path);
            if ((message.Choice("role", "user", "assistant") ?? throw message.Missing("role")) == "user")
            {
                AddUser(messages, message);
            }
            else
            {
                messages.Add(ReadAssistant(message, served));
            }
        }

        return messages.Count > given ? messages : throw ApiException.Wrong("messages", "'messages' is empty.");
    }

    /// <summary>Results of calls are messages of their own to templates.</summary>
    private static void AddUser(List<TemplateMessage> messages, JsonFields message)
    {
        if (ReadPlainText(message) is { } plain)
        {
            messages.Add(new TemplateMessage("user", plain));
            return;
        }

        StringBuilder? text = null;
        int before = messages.Count;
        foreach ((JsonFields block, string type, string path) in ReadBlocks(message))
        {
            switch (type)
            {
                case "text":
                    (text ??= new StringBuilder()).Append(block.Text("text") ?? throw block.Missing("text"));
                    break;
                case "tool_result":
                    EndText();
                    messages.Add(new TemplateMessage("tool", MessageFields.ReadContent(block, "content", "text") ?? "")
                    {
                        More = new JsonObject { ["tool_call_id"] = block.Text("tool_use_id") ?? throw block.Missing("tool_use_id") },
                    });
                    break;
                default:
                    throw Unreadable(path, type);
            }
        }

        EndText();
        if (messages.Count == before)
        {
            throw ApiException.Wrong(message.PathOf("content"), $"'{message.PathOf("content")}' is empty.");
        }

        void EndText()
        {
            if (text is not null)
            {
                messages.Add(new TemplateMessage("user", text.ToString()));
                text = null;
            }
        }
    }

    private static TemplateMessage ReadAssistant(JsonFields message, ServedModel served)
    {
        if (ReadPlainText(message) is { } plain)
        {
            return MessageFields.CreateAssistant(served, plain, [], null, []);
        }

        StringBuilder text = new(), thought = new();
        var calls = new JsonArray();
        foreach ((JsonFields block, string type, string path) in ReadBlocks(message))
        {
            switch (type)
            {
                case "text":
                    text.Append(block.Text("text") ?? throw block.Missing("text"));
                    break;
                case "thinking":
                    thought.Append(block.Text("thinking") ?? throw block.Missing("thinking"));
                    break;
                case "redacted_thinking":
                    // Only whoever wrote it can read it.
                    break;
                case "tool_use":
                    calls.Add((JsonNode)MessageFields.CallNode(
                        block.Text("id"), block.Text("name") ?? throw block.Missing("name"), block.NodeObject("input") ?? throw block.Missing("input")));
                    break;
                default:
                    throw Unreadable(path, type);
            }
        }

        return MessageFields.CreateAssistant(served, text.ToString(), calls, thought.ToString(), []);
    }

    /// <summary>A content that is a text; null for one that should be a list of blocks.</summary>
    private static string? ReadPlainText(JsonFields message) =>
        !message.TryGet("content", out JsonElement content) ? throw message.Missing("content")
        : content.ValueKind == JsonValueKind.String ? message.Text("content")
        : content.ValueKind == JsonValueKind.Array ? null
        : throw message.Wrong("content", content, "a text or a list of blocks");

    private static IEnumerable<(JsonFields Block, string Type, string Path)> ReadBlocks(JsonFields message)
    {
        foreach ((JsonElement item, string path) in message.List("content")!)
        {
            var block = new JsonFields(item, path);
            yield return (block, block.Text("type") ?? throw block.Missing("type"), path);
        }
    }

    private static ApiException Unreadable(string path, string type) => ApiException.Wrong(path, $"'{path}' is of the type '{type}'; this model reads text alone.");
}
