using System.Globalization;
using KQuant.Models.Generation;

namespace KQuant.Cli.Chat;

/// <summary>The values that slash commands show and change.</summary>
internal sealed class ChatSettings(SamplingOptions sampling, int maxTokens)
{
    private delegate bool Change(ChatSettings settings, string value);

    private static readonly (string Name, string Kind, Func<ChatSettings, object> Get, Change Set)[] All =
    [
        ("/temp", "float", s => s.Sampling.Temperature, Real((o, v) => o with { Temperature = v })),
        ("/top-p", "float", s => s.Sampling.TopP, Real((o, v) => o with { TopP = v })),
        ("/min-p", "float", s => s.Sampling.MinP, Real((o, v) => o with { MinP = v })),
        ("/repetition-penalty", "float", s => s.Sampling.RepetitionPenalty, Real((o, v) => o with { RepetitionPenalty = v })),
        ("/presence-penalty", "float", s => s.Sampling.PresencePenalty, Real((o, v) => o with { PresencePenalty = v })),
        ("/frequency-penalty", "float", s => s.Sampling.FrequencyPenalty, Real((o, v) => o with { FrequencyPenalty = v })),
        ("/top-k", "int", s => s.Sampling.TopK, Whole((s, v) => s.Sampling = s.Sampling with { TopK = v }, 0)),
        ("/max-tokens", "int", s => s.MaxTokens, Whole((s, v) => s.MaxTokens = v, 1)),
    ];

    public static IEnumerable<string> Names => All.Select(setting => setting.Name);

    public SamplingOptions Sampling { get; private set; } = sampling;

    public int MaxTokens { get; private set; } = maxTokens;

    /// <summary>Shows or changes a value.</summary>
    /// <param name="name">The command.</param>
    /// <param name="value">The new value; empty to show it.</param>
    /// <param name="answer">What to tell.</param>
    /// <returns>False when there is no such command.</returns>
    public bool TryRun(string name, string value, out string answer)
    {
        answer = "";
        foreach (var setting in All)
        {
            if (setting.Name == name)
            {
                string changed = "";
                if (value.Length > 0)
                {
                    if (!setting.Set(this, value))
                    {
                        answer = $"{name} needs {(setting.Kind == "int" ? "an int" : "a float")} that makes sense";
                        return true;
                    }

                    changed = " (next response)";
                }

                answer = $"{name[1..]}={Show(setting.Get(this))}{changed}";
                return true;
            }
        }

        return false;
    }

    /// <summary>All values, sorted.</summary>
    public IEnumerable<string> Describe() =>
        All.Select(setting => $"{setting.Name[1..]}={Show(setting.Get(this))}").Order(StringComparer.Ordinal);

    private static string Show(object value) => Convert.ToString(value, CultureInfo.InvariantCulture)!;

    private static Change Real(Func<SamplingOptions, float, SamplingOptions> change) => (settings, text) =>
    {
        if (!TypedNumbers.TryParse(text, out float value))
        {
            return false;
        }

        try
        {
            SamplingOptions changed = change(settings.Sampling, value);
            _ = new Sampler(changed);
            settings.Sampling = changed;
            return true;
        }
        catch (ArgumentOutOfRangeException)
        {
            return false;
        }
    };

    private static Change Whole(Action<ChatSettings, int> change, int least) => (settings, text) =>
    {
        bool fits = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least;
        if (fits)
        {
            change(settings, value);
        }

        return fits;
    };
}
