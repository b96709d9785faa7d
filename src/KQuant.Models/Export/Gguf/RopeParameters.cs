using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// How a checkpoint rotates q and k: <c>rope_theta</c> and <c>rope_scaling</c>, or the newer <c>rope_parameters</c> that holds both and, for
/// models with two ropes, one object for each kind of layer.
/// </summary>
internal sealed class RopeParameters
{
    private readonly JsonObject? _scaling;
    private readonly CheckpointConfig _config;
    private readonly string _path;

    /// <param name="config">The configuration.</param>
    /// <param name="path">Its file, for messages.</param>
    /// <param name="defaultTheta">The base when the configuration has none.</param>
    public RopeParameters(CheckpointConfig config, string path, double defaultTheta)
    {
        (_config, _path) = (config, path);
        JsonObject? parameters = config.GetObject("rope_parameters");
        _scaling = parameters?["full_attention"] as JsonObject ?? parameters ?? config.GetObject("rope_scaling");
        string kind = (_scaling?["rope_type"] ?? _scaling?["type"]).AsString() ?? "default";
        Kind = kind == "su" ? "longrope" : kind;
        Theta = parameters is null ? config.GetNumber("rope_theta") ?? defaultTheta
            : _scaling!["rope_theta"].AsNumber() ?? config.GetNumber("rope_theta") ?? defaultTheta;
        LocalTheta = (parameters?["sliding_attention"] as JsonObject)?["rope_theta"].AsNumber()
            ?? config.GetNumber("rope_local_base_freq");
    }

    /// <summary><c>default</c>, <c>linear</c>, <c>dynamic</c>, <c>yarn</c>, <c>llama3</c>, <c>longrope</c>, or what nobody knows.</summary>
    public string Kind { get; }

    /// <summary>The base of the frequencies.</summary>
    public double Theta { get; }

    /// <summary>The base of sliding layers, if they have their own.</summary>
    public double? LocalTheta { get; }

    /// <summary>The part of a head that is rotated.</summary>
    public double PartialRotaryFactor =>
        _scaling?["partial_rotary_factor"].AsNumber() ?? _config.GetNumber("partial_rotary_factor") ?? 1;

    /// <summary>The context length before scaling.</summary>
    public long? OriginalContext =>
        _scaling?["original_max_position_embeddings"].AsInteger() ?? _config.GetInteger("original_max_position_embeddings");

    /// <summary>A number of the scaling, or null.</summary>
    public double? Find(params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
        {
            if (_scaling?[key].AsNumber() is double value)
            {
                return value;
            }
        }

        return null;
    }

    /// <summary>A number that this kind of scaling needs.</summary>
    /// <exception cref="ModelFormatException">It is missing.</exception>
    public double Require(string key) => Find(key) ?? throw new ModelFormatException(_path, $"rope scaling '{Kind}' has no number '{key}'");

    /// <summary>A list of factors, one for each pair.</summary>
    /// <exception cref="ModelFormatException">It is missing, of another length, or holds something else.</exception>
    public float[] RequireFactors(string key, int count)
    {
        if (_scaling?[key] is not JsonArray array || array.Count != count)
        {
            throw new ModelFormatException(_path, $"rope scaling '{Kind}' has no list '{key}' of {count} factors");
        }

        return [.. array.Select(node => (float)(node.AsNumber() ?? throw new ModelFormatException(_path, $"a value of '{key}' is no number")))];
    }

    /// <summary>
    /// What llama.cpp divides the angles of Llama 3's scaling by, one factor for each pair (<c>rope_freqs</c>), in the float32 steps of its
    /// converter.
    /// </summary>
    /// <param name="headDimension">Dimensions of a head.</param>
    public float[] ComputeLlama3Factors(int headDimension)
    {
        float factor = (float)(Find("factor") ?? 8), low = (float)(Find("low_freq_factor") ?? 1), high = (float)(Find("high_freq_factor") ?? 4);
        float context = OriginalContext ?? 8192;
        float lowWavelength = context / low, highWavelength = context / high;
        var factors = new float[headDimension / 2];
        for (int i = 0; i < factors.Length; i++)
        {
            float frequency = 1 / MathF.Pow((float)Theta, 2 * i / (float)headDimension);
            float wavelength = 2 * MathF.PI / frequency;
            if (wavelength < highWavelength)
            {
                factors[i] = 1;
            }
            else if (wavelength > lowWavelength)
            {
                factors[i] = factor;
            }
            else
            {
                float smooth = ((context / wavelength) - low) / (high - low);
                factors[i] = 1 / (((1 - smooth) / factor) + smooth);
            }
        }

        return factors;
    }
}
