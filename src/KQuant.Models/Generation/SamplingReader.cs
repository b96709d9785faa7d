using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Generation;

/// <summary>How a model's makers would choose tokens, from the files of the model.</summary>
internal static class SamplingReader
{
    public const string FileName = "generation_config.json";

    /// <summary>What the keys of a GGUF begin with.</summary>
    public const string GgufPrefix = "general.sampling.";

    public static SamplingOptions Read(ModelSource source) => source switch
    {
        ModelFolder folder => OfFolder(folder.Path),
        GgufModel gguf => OfGguf(gguf.Path, gguf.File.Metadata),
        _ => SamplingOptions.Greedy,
    };

    private static SamplingOptions OfFolder(string folder)
    {
        if (!AuxiliaryFiles.Find(folder).TryFind(FileName, out string? path))
        {
            return SamplingOptions.Greedy;
        }

        var values = new ConfigValues(path, ConfigFile.Read(path));
        if (!values.GetFlag("do_sample", fallback: false))
        {
            return SamplingOptions.Greedy;
        }

        return Create(path, "", (key, fallback) => values.GetNumber(key, fallback), "temperature", "repetition_penalty");
    }

    private static SamplingOptions OfGguf(string path, GgufMetadata metadata) =>
        metadata.Keys.Any(key => key.StartsWith(GgufPrefix, StringComparison.Ordinal))
            ? Create(
                path,
                GgufPrefix,
                (key, fallback) => metadata.ContainsKey(key) ? (float)metadata.GetNumber(key) : fallback,
                "temp",
                "penalty_repeat")
            : SamplingOptions.Greedy;

    private static SamplingOptions Create(
        string path, string prefix, Func<string, float, float> get, string temperature, string penalty)
    {
        float topK = Get("top_k", 0, -1, int.MaxValue);
        if (topK != MathF.Floor(topK))
        {
            throw Wrong(prefix + "top_k", topK, "a whole number");
        }

        return new SamplingOptions
        {
            Temperature = Get(temperature, 1, 0, float.MaxValue),
            TopP = Get("top_p", 0, 0, 1),
            TopK = (int)Math.Max(0, Math.Min(topK, int.MaxValue / 2)),
            MinP = Get("min_p", 0, 0, 1),
            RepetitionPenalty = Get(penalty, 1, float.Epsilon, float.MaxValue),
        };

        float Get(string key, float fallback, float least, float most)
        {
            float value = get(prefix + key, fallback);
            return value >= least && value <= most ? value : throw Wrong(prefix + key, value, "in its range");
        }

        ModelFormatException Wrong(string key, float value, string expected) =>
            new(path, string.Create(CultureInfo.InvariantCulture, $"'{key}' is {value} and should be {expected}"));
    }
}
