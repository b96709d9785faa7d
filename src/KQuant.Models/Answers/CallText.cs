using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Answers;

/// <summary>Calls of tools, read from what a model wrote.</summary>
internal static class CallText
{
    /// <summary>Mistral's templates insist on nine letters and digits.</summary>
    private const int IdLength = 9;

    /// <summary>A name, perhaps with marks behind it, and arguments: Mistral's later models.</summary>
    /// <returns>The call; null if it is something else.</returns>
    public static List<FunctionCallContent>? ReadNamed(string text)
    {
        int arguments = text.IndexOf('{', StringComparison.Ordinal);
        if (arguments < 0)
        {
            return null;
        }

        string name = text[..arguments].Replace("[ARGS]", "", StringComparison.Ordinal);
        int id = name.IndexOf("[CALL_ID]", StringComparison.Ordinal);
        name = (id < 0 ? name : name[..id]).Trim();
        return name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.') ? ReadArguments(name, text[arguments..]) : null;
    }

    /// <summary>One call or several: JSON objects or lists of them.</summary>
    /// <returns>The calls; null if it is something else.</returns>
    public static List<FunctionCallContent>? Read(string text)
    {
        var calls = new List<FunctionCallContent>();
        try
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(text.Trim());
            for (int at = 0; at < utf8.Length;)
            {
                var reader = new Utf8JsonReader(utf8.AsSpan(at));
                using JsonDocument document = JsonDocument.ParseValue(ref reader);
                at += (int)reader.BytesConsumed;
                while (at < utf8.Length && (utf8[at] is (byte)';' or (byte)',' || char.IsWhiteSpace((char)utf8[at])))
                {
                    at++;
                }

                JsonElement root = document.RootElement;
                JsonElement[] list = root.ValueKind == JsonValueKind.Array ? [.. root.EnumerateArray()] : [root];
                foreach (JsonElement call in list)
                {
                    if (ReadCall(call) is not { } content)
                    {
                        return null;
                    }

                    calls.Add(content);
                }
            }
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            return null;
        }

        return calls.Count == 0 ? null : calls;
    }

    /// <summary>A call whose name stands elsewhere.</summary>
    public static List<FunctionCallContent>? ReadArguments(string name, string text)
    {
        name = name.StartsWith("functions.", StringComparison.Ordinal) ? name["functions.".Length..] : name;
        try
        {
            using JsonDocument document = JsonDocument.Parse(text.Trim());
            return name.Length > 0 && document.RootElement.ValueKind == JsonValueKind.Object ? [Create(name, document.RootElement)] : null;
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            return null;
        }
    }

    /// <summary>Halves of surrogate pairs are well-formed JSON, but no text.</summary>
    private static bool IsMalformed(Exception exception) => exception is JsonException or InvalidOperationException;

    private static FunctionCallContent? ReadCall(JsonElement call)
    {
        if (call.ValueKind != JsonValueKind.Object || !call.TryGetProperty("name", out JsonElement name) || name.ValueKind != JsonValueKind.String)
        {
            return null;
        }

        if (!call.TryGetProperty("arguments", out JsonElement arguments) && !call.TryGetProperty("parameters", out arguments))
        {
            return Create(name.GetString()!, default);
        }

        if (arguments.ValueKind == JsonValueKind.String)
        {
            return ReadArguments(name.GetString()!, arguments.GetString()!)?[0];
        }

        return arguments.ValueKind is JsonValueKind.Object or JsonValueKind.Null ? Create(name.GetString()!, arguments) : null;
    }

    private static FunctionCallContent Create(string name, JsonElement arguments)
    {
        var values = new Dictionary<string, object?>(StringComparer.Ordinal);
        if (arguments.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty argument in arguments.EnumerateObject())
            {
                values[argument.Name] = argument.Value.Clone();
            }
        }

        return new FunctionCallContent(RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", IdLength), name, values);
    }
}
