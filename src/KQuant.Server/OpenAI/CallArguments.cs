using System.Buffers;
using System.Text;
using System.Text.Json;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI;

/// <summary>The arguments of a call.</summary>
internal static class CallArguments
{
    /// <summary>The arguments as JSON.</summary>
    public static string ToJson(FunctionCallContent call)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, JsonOutput.Options))
        {
            Write(writer, call);
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Writes the arguments as an object.</summary>
    public static void Write(Utf8JsonWriter writer, FunctionCallContent call)
    {
        writer.WriteStartObject();
        foreach ((string name, object? value) in call.Arguments ?? new Dictionary<string, object?>())
        {
            writer.WritePropertyName(name);
            ((JsonElement)value!).WriteTo(writer);
        }

        writer.WriteEndObject();
    }
}
