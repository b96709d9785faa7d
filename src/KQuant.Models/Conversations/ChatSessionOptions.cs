using System.Text.Json.Nodes;

namespace KQuant.Models;

/// <summary>What a <see cref="ChatSession"/> is made with.</summary>
public sealed record ChatSessionOptions
{
    /// <summary>Variables for the chat template, such as <c>enable_thinking</c>.</summary>
    public JsonObject? Variables { get; init; }

    /// <summary>JSON schemas of the functions that the model may call; null for none.</summary>
    public JsonArray? Tools { get; init; }

    /// <summary>Tokens to remember at most, see <see cref="LanguageModel.CreateCache(int)"/>; not read where there is a <see cref="Cache"/>.</summary>
    public int MaxCacheSize { get; init; }

    /// <summary>
    /// What the model has read already, such as a cache that was saved (<see cref="LanguageModel.LoadCache"/>) or forked; the session's from then
    /// on, and disposed with it. Null for nothing.
    /// </summary>
    public KeyValueCache? Cache { get; init; }
}
