using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>A message of a conversation.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>.</param>
/// <param name="Content">
/// The text; null for an assistant that only calls tools: templates then see no <c>content</c> at all, unless <see cref="More"/> has one.
/// </param>
public sealed record TemplateMessage(string Role, string? Content)
{
    /// <summary>
    /// What templates see besides role and content, such as <c>tool_calls</c>, <c>name</c> or <c>reasoning_content</c>; a <c>content</c>
    /// here, such as a list of parts or an explicit null, replaces <see cref="Content"/>.
    /// </summary>
    public JsonObject? More { get; init; }

    /// <summary>A message as it stands in the JSON of the OpenAI interface and of Hugging Face.</summary>
    /// <param name="message">An object with a <c>role</c>.</param>
    /// <returns>The message.</returns>
    /// <exception cref="FormatException">There is no <c>role</c>, or it is no text.</exception>
    public static TemplateMessage FromJson(JsonObject message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (message["role"] is not JsonValue role || !role.TryGetValue(out string? name))
        {
            throw new FormatException("A message needs a 'role' that is a text.");
        }

        string? content = message["content"] is JsonValue value && value.TryGetValue(out string? text) ? text : null;
        var more = (JsonObject)message.DeepClone();
        more.Remove("role");
        if (content is not null)
        {
            more.Remove("content");
        }

        return new TemplateMessage(name, content) { More = more.Count > 0 ? more : null };
    }

    /// <summary>The message as JSON, as <see cref="FromJson"/> takes it.</summary>
    /// <returns>An object of its own.</returns>
    public JsonObject ToJson()
    {
        var message = new JsonObject { ["role"] = Role };
        if (Content is not null && More?.ContainsKey("content") != true)
        {
            message["content"] = Content;
        }

        foreach ((string name, JsonNode? node) in More ?? [])
        {
            message[name] = node?.DeepClone();
        }

        return message;
    }

    internal JinjaDict ToValue(ContentMarks? marks)
    {
        var value = new JinjaDict(isInput: true) { ["role"] = JinjaInput.Marked(Role, marks) };
        if (Content is not null && More?.ContainsKey("content") != true)
        {
            value["content"] = JinjaInput.Marked(Content, marks);
        }

        foreach ((string name, JsonNode? node) in More ?? [])
        {
            value[JinjaInput.Marked(name, marks)] = JinjaInput.Convert(node, isInput: true, marks);
        }

        return value;
    }
}
