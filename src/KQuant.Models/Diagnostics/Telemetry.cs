using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace KQuant.Models.Diagnostics;

/// <summary>
/// What a host may watch: an <see cref="ActivitySource"/> and a <see cref="Meter"/>, both named KQuant. Where nobody listens nothing is measured.
/// </summary>
internal static class Telemetry
{
    /// <summary>The name of both.</summary>
    public const string Name = "KQuant";

    /// <summary>The label that names the model.</summary>
    public const string ModelTag = "kquant.model";

    /// <summary>The label that says what tokens are.</summary>
    public const string KindTag = "kquant.token.kind";

    private static readonly Meter Meter = new(Name, typeof(Telemetry).Assembly.GetName().Version?.ToString(3));

    /// <summary>An activity for every text that is generated.</summary>
    public static ActivitySource Source { get; } = new(Name, Meter.Version);

    /// <summary>Tokens by model and kind.</summary>
    public static Counter<long> Tokens { get; } = Meter.CreateCounter<long>(
        "kquant.tokens", "{token}", "Tokens of prompts that were read or found in a cache, tokens generated, and tokens of other calls.");

    /// <summary>Seconds from the first step of a text to its first token.</summary>
    public static Histogram<double> PromptTime { get; } = Meter.CreateHistogram<double>(
        "kquant.prompt.duration", "s", "Time of the steps that read the prompt of a text, to its first token.");

    /// <summary>Seconds for all later tokens of a text.</summary>
    public static Histogram<double> DecodeTime { get; } = Meter.CreateHistogram<double>(
        "kquant.decode.duration", "s", "Time of the steps that generate the other tokens of a text.");

    /// <summary>Seconds that a step waited for the steps of others.</summary>
    public static Histogram<double> QueueTime { get; } = Meter.CreateHistogram<double>(
        "kquant.queue.duration", "s", "Time that a step waits for the steps of other calls.");

    /// <summary>Bytes of all caches.</summary>
    public static ObservableUpDownCounter<long> CacheBytes { get; } = Meter.CreateObservableUpDownCounter(
        "kquant.cache.size", static () => CacheMeter.Bytes, "By", "Memory of the caches of keys and values in this process.");

    /// <summary>Whether a text is worth measuring.</summary>
    public static bool IsWatched => Source.HasListeners() || Tokens.Enabled || PromptTime.Enabled || DecodeTime.Enabled;

    /// <summary>Counts tokens.</summary>
    /// <param name="model">The name of the model.</param>
    /// <param name="kind">What they are.</param>
    /// <param name="count">How many.</param>
    public static void Count(string model, string kind, long count)
    {
        if (count > 0)
        {
            Tokens.Add(count, Tag(ModelTag, model), Tag(KindTag, kind));
        }
    }

    /// <summary>A label.</summary>
    public static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
