using System.Globalization;
using System.Text.Json;
using KQuant.Models.Generation;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>How tokens are chosen, and when a text ends, from the fields of a request.</summary>
internal static class SamplingFields
{
    /// <summary>Texts that end an answer.</summary>
    public const int MostStops = 16;

    /// <summary>Characters of one of them.</summary>
    public const int LongestStop = 1000;

    /// <summary>Most logprobs of a token.</summary>
    public const int MostTop = 20;

    private const float MostBias = 100;

    /// <summary>Reads them; what is not given is the server's own.</summary>
    public static SamplingOptions Read(JsonFields body, ServedModel served)
    {
        SamplingOptions own = served.Sampling;
        float? topP = body.Number("top_p", 0, 1);
        SamplingOptions sampling = own with
        {
            Temperature = body.Number("temperature", 0, 2) ?? own.Temperature,

            // To OpenAI 0 is the most likely token alone; to a sampler of ours all of them.
            TopP = topP is 0 ? float.Epsilon : topP ?? own.TopP,
            TopK = body.Integer("top_k", -1) is int topK ? Math.Max(0, topK) : own.TopK,
            MinP = body.Number("min_p", 0, 1) ?? own.MinP,
            XtcProbability = body.Number("xtc_probability", 0, 1) ?? own.XtcProbability,
            XtcThreshold = body.Number("xtc_threshold", 0, 0.5f) ?? own.XtcThreshold,
            PresencePenalty = body.Number("presence_penalty", -2, 2) ?? own.PresencePenalty,
            FrequencyPenalty = body.Number("frequency_penalty", -2, 2) ?? own.FrequencyPenalty,
            RepetitionPenalty = body.Number("repetition_penalty", 0.01f, 100) ?? body.Number("repeat_penalty", 0.01f, 100) ?? own.RepetitionPenalty,
            PenaltyContext = body.Integer("repetition_context_size", 0) ?? (body.Integer("repeat_last_n", -1) switch
            {
                null => own.PenaltyContext,
                -1 => int.MaxValue,
                int last => last,
            }),
            Seed = body.Long("seed") is long seed ? unchecked((int)seed) : own.Seed,
            LogitBias = ReadBias(body, served.Model.Config.VocabularySize) ?? own.LogitBias,
        };
        return sampling;
    }

    /// <summary>The texts that end an answer.</summary>
    public static string[] ReadStops(JsonFields body, string name)
    {
        string[] stops = body.Texts(name, MostStops);
        foreach (string stop in stops)
        {
            if (stop.Length is 0 or > LongestStop)
            {
                throw ApiException.Wrong(body.PathOf(name), $"'{body.PathOf(name)}' has a text of {stop.Length} characters; it has 1 to {LongestStop}.");
            }
        }

        return stops;
    }

    private static Dictionary<int, float>? ReadBias(JsonFields body, int vocabulary)
    {
        if (body.Object("logit_bias") is not { } fields)
        {
            return null;
        }

        var biases = new Dictionary<int, float>();
        foreach (JsonProperty field in fields.All)
        {
            if (!int.TryParse(field.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int token) || token >= vocabulary)
            {
                throw ApiException.Wrong("logit_bias", $"'logit_bias' names the token '{field.Name}'; tokens are numbers from 0 to {vocabulary - 1}.");
            }

            biases[token] = fields.Number(field.Name, -MostBias, MostBias)!.Value;
        }

        return biases;
    }
}
