using System.Text.Json.Nodes;
using KQuant.Codecs;

namespace KQuant.Models.Configuration;

/// <summary>
/// Reads rotary embeddings in both spellings: <c>rope_theta</c> with <c>rope_scaling</c>, and <c>rope_parameters</c>, which may hold one
/// object for each kind of layer.
/// </summary>
internal sealed class RopeReader
{
    private const string Known = "default, linear, dynamic, llama3, yarn, longrope";

    private readonly ConfigValues _values;
    private readonly ModelFamily _family;
    private readonly JsonObject? _local;
    private readonly JsonObject? _settings;
    private readonly int _dimensions;
    private readonly int _context;

    public RopeReader(ConfigValues values, ModelFamily family, int headSize)
    {
        (_values, _family) = (values, family);
        JsonObject? parameters = values.GetObject("rope_parameters");
        _local = values.ToObject("sliding_attention", parameters?["sliding_attention"]);
        _settings = values.ToObject("full_attention", parameters?["full_attention"]) ?? parameters ?? values.GetObject("rope_scaling");
        _context = values.GetCount("max_position_embeddings", family.ContextLength);
        OriginalContext = values.ToCount("original_max_position_embeddings", _settings?["original_max_position_embeddings"])
            ?? values.GetCount("original_max_position_embeddings") ?? (family.OriginalContext > 0 ? family.OriginalContext : _context);
        _dimensions = ReadDimensions(headSize);
    }

    /// <summary>Tokens that the model was trained for before it was stretched, whether or not it was.</summary>
    public int OriginalContext { get; }

    /// <summary>A number of the scaling, under the first of some names that there is; null when there is none.</summary>
    public float? FindNumber(params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
        {
            if (Number(_settings, key) is float value)
            {
                return value;
            }
        }

        return null;
    }

    public RopeConfig Read(bool isLlamaCpp) => Create(
        _settings, _values.ToNumber("rope_theta", _settings?["rope_theta"]) ?? _values.GetNumber("rope_theta", _family.Theta), isLlamaCpp);

    /// <summary>Gemma 3 rotates the layers with a window by frequencies of their own.</summary>
    public RopeConfig? ReadLocal(bool isLlamaCpp) => _family.Architecture != "gemma3"
        ? null
        : Create(_local, _values.ToNumber("rope_theta", _local?["rope_theta"]) ?? _values.GetNumber("rope_local_base_freq", 10_000), isLlamaCpp);

    private int ReadDimensions(int headSize)
    {
        float part = _values.ToNumber("partial_rotary_factor", _settings?["partial_rotary_factor"]) ?? _values.GetNumber("partial_rotary_factor", _family.PartialRotary);
        int dimensions = (int)(headSize * part);
        return dimensions > 0 && dimensions <= headSize && dimensions % 2 == 0
            ? dimensions
            : throw new ModelFormatException(
                _values.Path, $"'partial_rotary_factor' {part} makes {dimensions} of {headSize} values rotate, which is no even number of them");
    }

    private RopeConfig Create(JsonObject? settings, float theta, bool isLlamaCpp)
    {
        string name = Text(settings, "rope_type") ?? Text(settings, "type") ?? "default";
        var plain = new RopeConfig { Theta = theta, Dimensions = _dimensions };
        if (settings is null && _family.Experts == ExpertStyle.GptOss)
        {
            // Its class means YaRN by silence.
            return Yarn(settings, plain with { Kind = RopeKind.Yarn, Factor = 32, OriginalContext = OriginalContext }, isLlamaCpp) with { Truncate = isLlamaCpp };
        }

        return name switch
        {
            "default" => plain,
            "linear" => plain with { Kind = RopeKind.Linear, Factor = Require(settings, "factor", name) },
            "dynamic" when isLlamaCpp => plain,
            "dynamic" => plain with { Kind = RopeKind.Dynamic, Factor = Require(settings, "factor", name), OriginalContext = _context },
            "llama3" => Llama3(settings, plain, name, isLlamaCpp),
            "yarn" => Yarn(
                settings,
                plain with { Kind = RopeKind.Yarn, Factor = Require(settings, "factor", name), OriginalContext = OriginalContext },
                isLlamaCpp),
            "longrope" or "su" => LongRope(settings!, plain with { Kind = RopeKind.LongRope, OriginalContext = OriginalContext }, isLlamaCpp),
            _ => throw _values.Unsupported("rope_type", name, Known),
        };
    }

    private RopeConfig Llama3(JsonObject? settings, RopeConfig plain, string name, bool isLlamaCpp)
    {
        RopeConfig rope = plain with
        {
            Kind = RopeKind.Llama3,
            Factor = Require(settings, "factor", name),
            LowFrequencyFactor = Require(settings, "low_freq_factor", name),
            HighFrequencyFactor = Require(settings, "high_freq_factor", name),
            OriginalContext = OriginalContext,
        };

        // llama.cpp knows divisors only, which its converter computes.
        return isLlamaCpp ? plain with { Kind = RopeKind.Divisors, ShortDivisors = Llama3Divisors.Compute(rope) } : rope;
    }

    private RopeConfig Yarn(JsonObject? settings, RopeConfig rope, bool isLlamaCpp)
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
            Truncate = _values.ToFlag("truncate", settings?["truncate"]) ?? true,
        };
    }

    private RopeConfig LongRope(JsonObject settings, RopeConfig rope, bool isLlamaCpp)
    {
        double factor = _context / (double)rope.OriginalContext;
        rope = rope with
        {
            Factor = (float)factor,
            ShortDivisors = _values.ToNumbers("short_factor", settings["short_factor"]),
            LongDivisors = _values.ToNumbers("long_factor", settings["long_factor"]),
            AttentionFactor = Number(settings, "attention_factor")
                ?? (factor <= 1 ? 1 : (float)Math.Sqrt(1 + (Math.Log(factor) / Math.Log(rope.OriginalContext)))),
            SwitchesByContext = isLlamaCpp,
        };
        foreach ((string key, int length) in new[] { ("short_factor", rope.ShortDivisors.Length), ("long_factor", rope.LongDivisors.Length) })
        {
            if (length != _dimensions / 2)
            {
                throw new ModelFormatException(_values.Path, $"'{key}' has {length} values for {_dimensions / 2} frequencies");
            }
        }

        return rope;
    }

    private static float Warmth(float factor, float scale) => factor <= 1 ? 1 : (0.1f * scale * MathF.Log(factor)) + 1;

    private string? Text(JsonObject? settings, string key) => _values.ToText(key, settings?[key]);

    private float? Number(JsonObject? settings, string key) => _values.ToNumber(key, settings?[key]);

    private float Require(JsonObject? settings, string key, string kind) => Number(settings, key) is float value && value > 0
        ? value
        : throw new ModelFormatException(_values.Path, $"the required key '{key}' of rope kind '{kind}' is missing or not above 0");
}
