using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Cli.Commands;

/// <summary>JSON that users give, read so that nothing wrong with it surfaces later.</summary>
internal static class JsonText
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <exception cref="JsonException">It is no JSON, has a property twice, or has half of a surrogate pair in a string.</exception>
    public static JsonNode? Parse(string json)
    {
        byte[] text = Encoding.UTF8.GetBytes(json);
        JsonNode? node = JsonNode.Parse(text, documentOptions: Strict);
        try
        {
            var reader = new Utf8JsonReader(text);
            while (reader.Read())
            {
                _ = reader.ValueIsEscaped ? reader.GetString() : null;
            }
        }
        catch (InvalidOperationException exception)
        {
            throw new JsonException(exception.Message, exception);
        }

        return node;
    }
}
