using System.Text.Json.Nodes;

namespace KQuant.Models.Templates;

/// <summary>A message of a conversation.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>.</param>
/// <param name="Content">The text; null for an assistant that only calls tools.</param>
public sealed record ChatMessage(string Role, string? Content)
{
    /// <summary>
    /// What templates see besides role and content, such as <c>tool_calls</c>, <c>name</c> or <c>reasoning_content</c>; a <c>content</c>
    /// here, such as a list of parts, replaces <see cref="Content"/>.
    /// </summary>
    public JsonObject? More { get; init; }
}
