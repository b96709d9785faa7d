using System.Text.Encodings.Web;
using System.Text.Json;

namespace KQuant.Server.Protocol;

/// <summary>How JSON is written.</summary>
internal static class JsonOutput
{
    /// <summary>Texts as they are, but for what JSON itself has to escape: answers are no part of a page.</summary>
    public static JsonWriterOptions Options { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
