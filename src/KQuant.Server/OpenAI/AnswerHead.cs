using System.Text.Json;
using KQuant.Server.Hosting;

namespace KQuant.Server.OpenAI;

/// <summary>What all pieces of an answer begin with.</summary>
/// <param name="Id">The id of the answer.</param>
/// <param name="Created">When it began, in seconds since 1970.</param>
/// <param name="Model">What the model is called.</param>
internal readonly record struct AnswerHead(string Id, long Created, string Model)
{
    private static readonly string Fingerprint = "kquant-" + typeof(AnswerHead).Assembly.GetName().Version!.ToString(3);

    /// <summary>Begins an answer.</summary>
    /// <param name="prefix">What ids of its kind begin with.</param>
    /// <param name="served">What answers.</param>
    public static AnswerHead Create(string prefix, ServedModel served) =>
        new(prefix + Guid.NewGuid().ToString("N"), DateTimeOffset.UtcNow.ToUnixTimeSeconds(), served.Name);

    /// <summary>Writes it.</summary>
    /// <param name="writer">Where to, within an object.</param>
    /// <param name="kind">What the object is.</param>
    public void Write(Utf8JsonWriter writer, string kind)
    {
        writer.WriteString("id", Id);
        writer.WriteString("object", kind);
        writer.WriteNumber("created", Created);
        writer.WriteString("model", Model);
        writer.WriteString("system_fingerprint", Fingerprint);
    }
}
