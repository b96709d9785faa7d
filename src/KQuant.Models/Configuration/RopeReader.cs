using System.Text.Json.Nodes;
using KQuant.Codecs;

namespace KQuant.Models.Configuration;

/// <summary>
/// Reads rotary embeddings in both spellings: <c>rope_theta</c> with <c>rope_scaling</c>, and <c>rope_parameters</c>, which may hold one
/// object for each kind of layer.
/// </summary>
internal sealed class RopeReader(ConfigValues values, ModelFamily family, int dimensions, bool isLlamaCpp)
{
    private const string Known = "default, linear, dynamic, llama3, yarn, longrope";

    private readonly JsonObject? _parameters = values.GetObject("rope_parameters");

    public RopeConfig Read()
    {
        JsonObject? settings = _parameters?["full_attention"] as JsonObject ?? _parameters ?? values.GetObject("rope_scaling");
        float theta = values.ToNumber("rope_theta", settings?["rope_theta"]) ?? values.GetNumber("rope_theta", family.Theta);
        return Create(settings, theta);
    }

    /// <summary>Gemma 3 rotates the layers with a window by frequencies of their own.</summary>
    public RopeConfig? ReadLocal()
    {
        if (family.Architecture != "gemma3")
        {
            return null;
        }

        var settings = _parameters?["sliding_attention"] as JsonObject;
        return Create(settings, values.ToNumber("rope_theta", settings?["rope_theta"]) ?? values.GetNumber("rope_local_base_freq", 10_000));
    }

    private RopeConfig Create(JsonObject? settings, float theta)
    {
        string name = Text(settings, "rope_type") ?? Text(settings, "type") ?? "default";
        int context = values.GetCount("max_position_embeddings") ?? family.ContextLength;
        int original = Count(settings, "original_max_position_embeddings") ?? values.GetCount("original_max_position_embeddings") ?? context;
        var plain = new RopeConfig { Theta = theta, Dimensions = dimensions };
        return name switch
        {
            "default" => plain,
            "linear" => plain with { Kind = RopeKind.Linear, Factor = Require(settings, "factor", name) },
            "dynamic" => isLlamaCpp
                ? plain
                : plain with { Kind = RopeKind.Dynamic, Factor = Require(settings, "factor", name), OriginalContext = context },
            "llama3" => plain with
            {
                Kind = RopeKind.Llama3,
                Factor = Require(settings, "factor", name),
                LowFrequencyFactor = Require(settings, "low_freq_factor", name),
                HighFrequencyFactor = Require(settings, "high_freq_factor", name),
                OriginalContext = original,
            },
            "yarn" => Yarn(settings, plain with { Kind = RopeKind.Yarn, Factor = Require(settings, "factor", name), OriginalContext = original }),
            "longrope" or "su" => LongRope(settings, plain with { Kind = RopeKind.LongRope, OriginalContext = original }, context),
            _ => throw values.Unsupported("rope_type", name, Known),
        };
    }

    private RopeConfig Yarn(JsonObject? settings, RopeConfig rope)
    {
        float usual = Warmth(rope.Factor, 1);
        if (isLlamaCpp)
        {
            return rope with { AttentionFactor = usual };
        }

        float? scale = Number(settings, "mscale");
        float? scaleAll = Number(settings, "mscale_all_dim");
        return rope with
        {
            AttentionFactor = Number(settings, "attention_factor")
                ?? (scale is > 0 && scaleAll is > 0 ? Warmth(rope.Factor, scale.Value) / Warmth(rope.Factor, scaleAll.Value) : usual),
            BetaFast = Number(settings, "beta_fast") ?? 32,
            BetaSlow = Number(settings, "beta_slow") ?? 1,
            Truncate = settings?["truncate"] is not JsonValue truncate || !truncate.TryGetValue(out bool rounds) || rounds,
        };
    }

    private RopeConfig LongRope(JsonObject? settings, RopeConfig rope, int context)
    {
        float factor = (float)context / rope.OriginalContext;
        rope = rope with
        {
            Factor = factor,
            ShortDivisors = values.ToNumbers("short_factor", settings!["short_factor"]),
            LongDivisors = values.ToNumbers("long_factor", settings["long_factor"]),
            AttentionFactor = Number(settings, "attention_factor")
                ?? (factor <= 1 ? 1 : MathF.Sqrt(1 + (MathF.Log(factor) / MathF.Log(rope.OriginalContext)))),
            SwitchesByContext = isLlamaCpp,
        };
        foreach ((string key, int length) in new[] { ("short_factor", rope.ShortDivisors.Length), ("long_factor", rope.LongDivisors.Length) })
        {
            if (length != dimensions / 2)
            {
                throw new ModelFormatException(values.Path, $"'{key}' has {length} values for {dimensions / 2} frequencies");
            }
        }

        return rope;
    }

    private static float Warmth(float factor, float scale) => factor <= 1 ? 1 : (0.1f * scale * MathF.Log(factor)) + 1;

    private string? Text(JsonObject? settings, string key) => settings?[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        JsonNode other => throw values.Wrong(key, other, "a string"),
    };

    private int? Count(JsonObject? settings, string key) => values.ToCount(key, settings?[key]);

    private float? Number(JsonObject? settings, string key) => values.ToNumber(key, settings?[key]);

    private float Require(JsonObject? settings, string key, string kind) => Number(settings, key) is float value && value > 0
        ? value
        : throw new ModelFormatException(values.Path, $"the required key '{key}' of rope kind '{kind}' is missing or not above 0");
}
