using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Templates;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>Messages of a conversation as OpenAI's interface has them.</summary>
internal static class MessageFields
{
    /// <summary>Reads the messages.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="served">Its chat template decides what a developer is.</param>
    public static List<TemplateMessage> Read(JsonFields body, ServedModel served)
    {
        var messages = new List<TemplateMessage>();
        foreach ((JsonElement item, string path) in body.List("messages") ?? throw body.Missing("messages"))
        {
            messages.Add(ReadMessage(new JsonFields(item, path), served));
        }

        return messages.Count > 0 ? messages : throw ApiException.Wrong("messages", "'messages' is empty.");
    }

    /// <summary>A text, or a list of parts that are texts; null where there is none.</summary>
    /// <param name="fields">What has the content.</param>
    /// <param name="name">Its name.</param>
    /// <param name="types">The types of parts that are texts.</param>
    public static string? ReadContent(JsonFields fields, string name, params string[] types)
    {
        if (!fields.TryGet(name, out JsonElement content))
        {
            return null;
        }

        if (content.ValueKind == JsonValueKind.String)
        {
            return fields.Text(name);
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            throw fields.Wrong(name, content, "a text or a list of parts");
        }

        var text = new StringBuilder();
        foreach ((JsonElement item, string path) in fields.List(name)!)
        {
            var part = new JsonFields(item, path);
            string type = part.Text("type") ?? throw part.Missing("type");
            text.Append(types.Contains(type)
                ? part.Text("text") ?? throw part.Missing("text")
                : throw ApiException.Wrong(path, $"'{path}' is of the type '{type}'; this model reads text alone."));
        }

        return text.ToString();
    }

    /// <summary>What the assistant has said.</summary>
    /// <param name="served">How its model writes thoughts and calls decides where they stand.</param>
    /// <param name="content">Its text; null for none.</param>
    /// <param name="calls">Its calls, each a <see cref="CallNode"/>.</param>
    /// <param name="thought">What it thought before; null for nothing.</param>
    /// <param name="more">What else there is.</param>
    public static TemplateMessage CreateAssistant(ServedModel served, string? content, JsonArray calls, string? thought, JsonObject more)
    {
        if (calls.Count > 0)
        {
            more["tool_calls"] = calls;
        }

        if (!string.IsNullOrEmpty(thought))
        {
            more[served.Form == AnswerForm.Harmony ? "thinking" : "reasoning_content"] = thought;
        }

        bool isCall = string.IsNullOrEmpty(content) && calls.Count > 0 && served.Form == AnswerForm.Harmony;
        return new TemplateMessage("assistant", isCall ? null : content ?? "") { More = more.Count > 0 ? more : null };
    }

    /// <summary>What a developer is to the chat template: most know only the system.</summary>
    public static string DeveloperRole(ServedModel served) =>
        served.Model.ChatTemplate?.Source.Contains("developer", StringComparison.Ordinal) == true ? "developer" : "system";

    private static TemplateMessage ReadMessage(JsonFields fields, ServedModel served)
    {
        string role = fields.Choice("role", "system", "developer", "user", "assistant", "tool", "function") ?? throw fields.Missing("role");
        string? content = ReadContent(fields, "content", "text");
        var more = new JsonObject();
        if (fields.Text("name") is { } name)
        {
            more["name"] = name;
        }

        switch (role)
        {
            case "assistant":
                return CreateAssistant(served, content, ReadCalls(fields), fields.Text("reasoning_content") ?? fields.Text("reasoning"), more);
            case "developer":
                role = DeveloperRole(served);
                break;
            case "tool" or "function":
                if (fields.Text("tool_call_id") is { } id)
                {
                    more["tool_call_id"] = id;
                }

                role = "tool";
                break;
        }

        return content is null
            ? throw fields.Missing("content")
            : new TemplateMessage(role, content) { More = more.Count > 0 ? more : null };
    }

    private static JsonArray ReadCalls(JsonFields message)
    {
        var calls = new JsonArray();
        foreach ((JsonElement item, string path) in message.List("tool_calls") ?? [])
        {
            var call = new JsonFields(item, path);
            JsonFields function = call.Object("function") ?? throw call.Missing("function");
            string name = function.Text("name") ?? throw function.Missing("name");
            calls.Add((JsonNode)CallNode(call.Text("id"), name, ReadArguments(function)));
        }

        return calls;
    }

    /// <summary>A call as templates see it.</summary>
    public static JsonObject CallNode(string? id, string name, JsonObject arguments) => new()
    {
        ["id"] = id,
        ["type"] = "function",
        ["function"] = new JsonObject { ["name"] = name, ["arguments"] = arguments },
    };

    /// <summary>Arguments are a text with JSON; templates want the object.</summary>
    public static JsonObject ReadArguments(JsonFields function)
    {
        if (!function.TryGet("arguments", out JsonElement arguments))
        {
            return [];
        }

        if (arguments.ValueKind == JsonValueKind.Object)
        {
            return function.NodeObject("arguments")!;
        }

        string path = function.PathOf("arguments"), text = function.Text("arguments")!;
        using JsonDocument document = JsonInput.Parse(text.Length == 0 ? "{}"u8.ToArray() : Encoding.UTF8.GetBytes(text), $"'{path}'", path);
        return JsonFields.ToNode(document.RootElement, path) as JsonObject ?? throw ApiException.Wrong(path, $"'{path}' is JSON, but no object.");
    }
}
