using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using KQuant.Models;
using KQuant.Models.Generation;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary>The options that say how tokens are chosen.</summary>
internal sealed class SamplingArguments
{
    private readonly Option<float?> _temperature = Own("--temp", "Temperature; 0 always takes the most likely token.", 0, float.MaxValue);
    private readonly Option<float?> _topP = Own("--top-p", "Keep the most likely tokens that make up this much probability; 0 keeps all.", 0, 1);
    private readonly Option<int> _topK = CommonOptions.Number("--top-k", "Keep so many of the most likely tokens; 0 keeps all. The model's own if not given.", 0, 0, int.MaxValue);
    private readonly Option<float?> _minP = Own("--min-p", "Keep tokens at least this much as likely as the most likely one; 0 keeps all.", 0, 1);
    private readonly Option<float> _xtcProbability = Real("--xtc-probability", "Probability of excluding top choices.", 0, 0, 1);
    private readonly Option<float> _xtcThreshold = Real("--xtc-threshold", "Probability above which a token is a top choice.", 0.1f, 0, 0.5f);
    private readonly Option<float?> _repetition = Own("--repetition-penalty", "Divides logits of recent tokens; 1 changes nothing. Recent are the last 20 tokens, or as many as the model's makers penalize.", float.Epsilon, float.MaxValue);
    private readonly Option<float> _presence = Real("--presence-penalty", "Taken from logits of recent tokens, once.", 0, -1000, 1000);
    private readonly Option<float> _frequency = Real("--frequency-penalty", "Taken from logits of recent tokens, as often as they came.", 0, -1000, 1000);
    private readonly Option<int?> _seed = new("--seed")
    {
        Description = "Where draws begin: the same seed gives the same text.",
        HelpName = "n",
        CustomParser = result =>
        {
            if (!int.TryParse(result.Tokens[0].Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value))
            {
                result.AddError($"--seed is a whole number from {int.MinValue} to {int.MaxValue}.");
            }

            return value;
        },
    };

    public SamplingArguments() => _topK.DefaultValueFactory = null;

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in new Option[]
        {
            _temperature, _topP, _topK, _minP, _xtcProbability, _xtcThreshold, _repetition, _presence, _frequency, _seed,
        })
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The values that were given, and the model's own for those that were not.</summary>
    public SamplingOptions Read(ParseResult parsed, LanguageModel model)
    {
        SamplingOptions own = model.DefaultSampling;
        return own with
        {
            Temperature = parsed.GetValue(_temperature) ?? own.Temperature,
            TopP = parsed.GetValue(_topP) ?? own.TopP,
            TopK = parsed.GetResult(_topK) is null ? own.TopK : parsed.GetValue(_topK),
            MinP = parsed.GetValue(_minP) ?? own.MinP,
            XtcProbability = parsed.GetValue(_xtcProbability),
            XtcThreshold = parsed.GetValue(_xtcThreshold),
            RepetitionPenalty = parsed.GetValue(_repetition) ?? own.RepetitionPenalty,
            PresencePenalty = parsed.GetValue(_presence),
            FrequencyPenalty = parsed.GetValue(_frequency),
            Seed = parsed.GetValue(_seed),
        };
    }

    /// <summary>A number that the model may have an own one for.</summary>
    private static Option<float?> Own(string name, string description, float least, float most) => new(name)
    {
        Description = description + " The model's own if not given.",
        HelpName = "x",
        CustomParser = result => Parse(result, name, least, most),
    };

    private static Option<float> Real(string name, string description, float standard, float least, float most) => new(name)
    {
        Description = description,
        HelpName = "x",
        DefaultValueFactory = _ => standard,
        CustomParser = result => Parse(result, name, least, most),
    };

    private static float Parse(ArgumentResult result, string name, float least, float most)
    {
        if (!TypedNumbers.TryParse(result.Tokens[0].Value, out float value) || value < least || value > most)
        {
            string range = (least, most) switch
            {
                (float.Epsilon, _) => " above 0",
                (_, float.MaxValue) => Invariant($" of at least {least}"),
                _ => Invariant($" from {least} to {most}"),
            };
            result.AddError($"{name} is a number{range}, not '{result.Tokens[0].Value}'.");
        }

        return value;
    }
}
