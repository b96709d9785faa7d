using System.Globalization;
using System.Text;
using KQuant.Models.Diagnostics;
using KQuant.Server.Batching;
using KQuant.Server.Protocol;

namespace KQuant.Server.Monitoring;

/// <summary><c>GET /metrics</c>: the instruments of the meter KQuant in the text format of Prometheus, under llama-server's names where it has them.</summary>
internal static class MetricsEndpoint
{
    private const string Counter = "counter";
    private const string Gauge = "gauge";

    private static readonly Metric[] All =
    [
        new("llamacpp:prompt_tokens_total", Counter, "Tokens of prompts that were read.", sum => sum(Telemetry.Tokens.Name, "prompt")),
        new("llamacpp:prompt_seconds_total", Counter, "Seconds of the steps that read prompts, for each text.", sum => sum(Telemetry.PromptTime.Name, null)),
        new("llamacpp:prompt_tokens_seconds", Gauge, "Tokens of a prompt that are read in a second, on average.", sum =>
            Ratio(sum(Telemetry.Tokens.Name, "prompt"), sum(Telemetry.PromptTime.Name, null))),
        new("llamacpp:tokens_predicted_total", Counter, "Tokens generated.", sum => sum(Telemetry.Tokens.Name, "generated")),
        new("llamacpp:tokens_predicted_seconds_total", Counter, "Seconds of the steps that generate, for each text that has ended.", sum =>
            sum(Telemetry.DecodeTime.Name, null)),
        new("llamacpp:n_decode_total", Counter, "Steps of the batch.", sum => sum(BatchMeter.Steps, null)),
        new("llamacpp:n_busy_slots_per_decode", Gauge, "Texts in a step, on average.", sum => Ratio(sum(BatchMeter.StepTexts, null), sum(BatchMeter.Steps, null))),
        new("llamacpp:requests_processing", Gauge, "Texts that are being written.", sum => sum(BatchMeter.Active, null)),
        new("llamacpp:requests_deferred", Gauge, "Texts that wait for a place.", sum => sum(BatchMeter.Waiting, null)),
        new("kquant_texts_total", Counter, "Texts that were taken into the batch.", sum => sum(BatchMeter.Texts, null)),
        new("kquant_cached_tokens_total", Counter, "Tokens of prompts that a cache had.", sum => sum(Telemetry.Tokens.Name, "cached")),
        new("kquant_other_tokens_total", Counter, "Tokens read beside the batch, such as those of embeddings.", sum => sum(Telemetry.Tokens.Name, "other")),
        new("kquant_queue_seconds_total", Counter, "Seconds that steps waited for steps of others.", sum => sum(Telemetry.QueueTime.Name, null)),
        new("kquant_cache_bytes", Gauge, "Memory of the caches of keys and values in this process.", sum => sum(Telemetry.CacheBytes.Name, null)),
    ];

    /// <summary>Answers a request.</summary>
    public static Task AnswerAsync(ApiCall call)
    {
        var text = new StringBuilder();
        call.Served.Meter.Read(sum =>
        {
            foreach (Metric metric in All)
            {
                text.Append(CultureInfo.InvariantCulture, $"# HELP {metric.Name} {metric.Help}\n# TYPE {metric.Name} {metric.Kind}\n{metric.Name} {metric.Read(sum)}\n");
            }
        });
        return call.WriteTextAsync(text.ToString(), "text/plain; version=0.0.4; charset=utf-8");
    }

    private static double Ratio(double amount, double unit) => unit > 0 ? amount / unit : 0;

    /// <summary>A number of the page.</summary>
    /// <param name="Name">What Prometheus calls it.</param>
    /// <param name="Kind">Whether it only grows.</param>
    /// <param name="Help">What it is.</param>
    /// <param name="Read">Gets it from the sums of instruments.</param>
    private sealed record Metric(string Name, string Kind, string Help, Func<Func<string, string?, double>, double> Read);
}
