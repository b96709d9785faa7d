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

    /// <summary>The key of a GGUF for the number of tokens that the penalty is for; -1 for all.</summary>
    public const string GgufPenaltyContext = "penalty_last_n";

    /// <summary>How many tokens transformers keeps where a folder draws and does not say it.</summary>
    public const int StandardTopK = 50;

    private const string Penalty = "repetition_penalty";
    private const string GgufTemperature = "temp";

    /// <summary>What llama.cpp does where a file says nothing (common_params_sampling in common/common.h).</summary>
    private static readonly SamplingOptions LlamaCpp = new() { Temperature = 0.8f, TopK = 40, TopP = 0.95f, MinP = 0.05f, PenaltyContext = 64 };

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
        bool draws = values.GetFlag("do_sample", fallback: false);
        float Get(string key, float fallback) => (draws, key) switch
        {
            (_, Penalty) => values.GetNumber(key, fallback),
            (true, "top_k") => values.GetNumber(key, StandardTopK),
            (true, _) => values.GetNumber(key, fallback),
            (false, "temperature") => 0,
            _ => fallback,
        };
        SamplingOptions sampling = Create(path, "", Get, "temperature", Penalty);

        // transformers: the penalty is for every token of the text, greedy or not.
        return sampling.RepetitionPenalty == 1 ? sampling : sampling with { PenaltyContext = int.MaxValue };
    }

    private static SamplingOptions OfGguf(string path, GgufMetadata metadata)
    {
        if (!metadata.Keys.Any(key => key.StartsWith(GgufPrefix, StringComparison.Ordinal)))
        {
            return SamplingOptions.Greedy;
        }

        float Get(string key, float fallback) => metadata.ContainsKey(key) ? (float)metadata.GetNumber(key) : fallback;
        bool draws = Get(GgufPrefix + GgufTemperature, LlamaCpp.Temperature) > 0;
        float GetOrLlamaCpps(string key, float fallback) => Get(key, (draws, key[GgufPrefix.Length..]) switch
        {
            (_, GgufTemperature) => LlamaCpp.Temperature,
            (true, "top_k") => LlamaCpp.TopK,
            (true, "top_p") => LlamaCpp.TopP,
            (true, "min_p") => LlamaCpp.MinP,
            _ => fallback,
        });
        SamplingOptions sampling = Create(path, GgufPrefix, GetOrLlamaCpps, GgufTemperature, "penalty_repeat");
        float recent = Get(GgufPrefix + GgufPenaltyContext, LlamaCpp.PenaltyContext);
        if (recent < -1 || recent != MathF.Floor(recent))
        {
            throw Wrong(path, GgufPrefix + GgufPenaltyContext, recent, "a number of tokens, or -1 for all");
        }

        return sampling.RepetitionPenalty == 1
            ? sampling
            : sampling with { PenaltyContext = recent < 0 || recent >= int.MaxValue ? int.MaxValue : (int)recent };
    }

    private static SamplingOptions Create(
        string path, string prefix, Func<string, float, float> get, string temperature, string penalty)
    {
        float topK = Get("top_k", 0, -1, int.MaxValue);
        if (topK != MathF.Floor(topK))
        {
            throw Wrong(path, prefix + "top_k", topK, "a whole number");
        }

        return new SamplingOptions
        {
            Temperature = Get(temperature, 1, 0, float.MaxValue),
            TopP = Get("top_p", 0, 0, 1) is < 1 and var topP ? topP : 0,
            TopK = (int)Math.Max(0, Math.Min(topK, int.MaxValue / 2)),
            MinP = Get("min_p", 0, 0, 1),
            RepetitionPenalty = Get(penalty, 1, float.Epsilon, float.MaxValue),
        };

        float Get(string key, float fallback, float least, float most)
        {
            float value = get(prefix + key, fallback);
            return value >= least && value <= most ? value : throw Wrong(path, prefix + key, value, "in its range");
        }
    }

    private static ModelFormatException Wrong(string path, string key, float value, string expected) =>
        new(path, string.Create(CultureInfo.InvariantCulture, $"'{key}' is {value} and should be {expected}"));
}
