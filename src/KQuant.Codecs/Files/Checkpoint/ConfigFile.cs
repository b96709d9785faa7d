using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;

namespace KQuant.Codecs.Files;

/// <summary>
/// The <c>config.json</c> of a checkpoint, read within bounds and written as Python's <c>json.dump(indent=2)</c> lays it out.
/// </summary>
internal static class ConfigFile
{
    public const string Name = "config.json";

    /// <summary>A config names each quantized module twice; models have up to a few thousand, with experts stacked.</summary>
    private const int MaxLength = 8 << 20;

    /// <summary>A parsed value takes up to some 300 bytes when it is a member of an object.</summary>
    private const int MaxTokens = 250_000;

    private const int Indent = 2;

    /// <summary>Reads a JSON object, as <see cref="LenientJson"/> does.</summary>
    /// <exception cref="ModelFormatException">The file is missing, too large, or no JSON object.</exception>
    public static JsonObject Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new ModelFormatException(path, "the file is missing");
        }

        using MappedFile file = MappedFile.Open(path);
        if (file.Length > MaxLength)
        {
            throw new ModelFormatException(path, $"the file has {file.Length} bytes; at most {MaxLength} are read");
        }

        ReadOnlySpan<byte> text = LenientJson.ToStandard(file.UnsafeBytes(0, (int)file.Length));
        if (!Utf8.IsValid(text))
        {
            throw new ModelFormatException(path, "the file is not valid UTF-8");
        }

        try
        {
            CheckTokens(path, text);
            return LenientJson.Parse(text) as JsonObject
                ?? throw new ModelFormatException(path, "the file holds no JSON object");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new ModelFormatException(path, $"the file is not valid JSON: {exception.Message}", innerException: exception);
        }
    }

    /// <summary>Writes a JSON object; numbers keep the spelling that they were read with.</summary>
    /// <param name="stream">Where it goes.</param>
    /// <param name="config">The object.</param>
    /// <param name="indent">Spaces before its members.</param>
    public static void Write(Stream stream, JsonObject config, int indent = Indent)
    {
        var layout = new JsonWriterOptions
        {
            Indented = true,
            IndentSize = indent,
            NewLine = "\n",
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };
        using var json = new Utf8JsonWriter(stream, layout);
        LenientJson.Write(json, config);
    }

    private static void CheckTokens(string path, ReadOnlySpan<byte> text)
    {
        var json = new Utf8JsonReader(text);
        int tokens = 0;
        while (json.Read())
        {
            if (++tokens > MaxTokens)
            {
                throw new ModelFormatException(path, $"the file holds more than {MaxTokens} JSON values", offset: json.TokenStartIndex);
            }

            if (json.ValueIsEscaped)
            {
                // Throws for half of a surrogate pair, which would otherwise surface whenever the value is used.
                _ = json.GetString();
            }
        }
    }
}
