using System.Globalization;
using System.Text.Json;
using KQuant.Models;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary><c>GET /v1/models</c>: the one model that is served, for the clients of OpenAI and for those of Anthropic, which read other fields.</summary>
internal static class ModelsEndpoint
{
    /// <summary>Lists it.</summary>
    public static Task ListAsync(ApiCall call) => call.WriteAsync(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("object", "list");
        writer.WriteStartArray("data");
        Write(writer, call.Served);
        writer.WriteEndArray();
        writer.WriteBoolean("has_more", false);
        writer.WriteString("first_id", call.Served.Name);
        writer.WriteString("last_id", call.Served.Name);
        writer.WriteEndObject();
    });

    /// <summary>Describes it, if it is the one that is asked for.</summary>
    public static Task GetAsync(ApiCall call)
    {
        string id = Uri.UnescapeDataString((string)call.Http.GetRouteValue("id")!);
        return id == call.Served.Name
            ? call.WriteAsync(writer => Write(writer, call.Served))
            : throw new ApiException(StatusCodes.Status404NotFound, $"There is no model '{id}'; this server has '{call.Served.Name}'.", "model", "model_not_found");
    }

    private static void Write(Utf8JsonWriter writer, ServedModel served)
    {
        LanguageModel model = served.Model;
        writer.WriteStartObject();
        writer.WriteString("id", served.Name);
        writer.WriteString("object", "model");
        writer.WriteNumber("created", served.Started.ToUnixTimeSeconds());
        writer.WriteString("owned_by", "local");
        writer.WriteString("type", "model");
        writer.WriteString("display_name", served.Name);
        writer.WriteString("created_at", served.Started.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        writer.WriteStartObject("meta");
        writer.WriteString("architecture", model.Config.Architecture);
        writer.WriteString("codec", model.MainCodec.Name);
        writer.WriteNumber("n_ctx", model.ContextLength);
        writer.WriteNumber("n_vocab", model.Config.VocabularySize);
        writer.WriteNumber("n_params", model.WeightCount);
        writer.WriteNumber("size", model.WeightBytes);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }
}
