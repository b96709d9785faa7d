using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using KQuant.Codecs;
using KQuant.Matmul;

namespace KQuant.Cli.Commands;

/// <summary>Options that several verbs share.</summary>
internal static class CommonOptions
{
    /// <summary>The block codecs, then the pass-through formats.</summary>
    public static IEnumerable<QuantCodec> AllCodecs => QuantCodec.All;

    /// <summary>Those of them whose bytes lie in one piece.</summary>
    public static IEnumerable<QuantCodec> BlockCodecs => AllCodecs.Where(codec => codec.Planes.Length == 1);

    /// <summary><c>--json</c>.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print JSON." };

    /// <summary><c>--overwrite</c>.</summary>
    public static Option<bool> Overwrite() => new("--overwrite") { Description = "Replace an output that exists." };

    /// <summary><c>--no-special</c> of commands that read a text.</summary>
    public static Option<bool> NoSpecialTokens() => new("--no-special")
    {
        Description = "Add no special tokens to the text, such as the one that begins it.",
    };

    /// <summary><c>--shard I/N</c>.</summary>
    public static Option<JobShard> Shard(string description) => new("--shard")
    {
        Description = description,
        HelpName = "i/n",
        CustomParser = result =>
        {
            string token = result.Tokens[0].Value;
            if (!JobShard.TryParse(token, out JobShard? shard))
            {
                result.AddError($"--shard is I/N with I from 1 to N, such as 2/8, not '{token}'.");
            }

            return shard;
        },
    };

    /// <summary><c>--model PATH</c>, required.</summary>
    public static Option<string> Model(string description) => new("--model")
    {
        Description = description,
        HelpName = "path",
        Required = true,
    };

    /// <summary><c>--threads N</c>; -1 when it is not given.</summary>
    public static Option<int> Threads()
    {
        Option<int> option = Number("--threads", "Threads to use; one per processor if not given.", 0, 1, 1024);
        option.DefaultValueFactory = null;
        return option;
    }

    /// <summary>The value of <see cref="Threads"/> as the library takes it.</summary>
    public static int GetThreads(this ParseResult parsed, Option<int> threads) => parsed.GetResult(threads) is null ? -1 : parsed.GetValue(threads);

    /// <summary><c>--encode reference|best</c>.</summary>
    public static Option<EncodeMode> Encode() => Choice(
        "--encode",
        "ggml's own bytes, or the lowest error that the format allows; 'reference' if not given.",
        ("reference", EncodeMode.Reference),
        ("best", EncodeMode.Best));

    /// <summary><c>--on-overflow error|keep</c>.</summary>
    public static Option<ScaleOverflow> OnOverflow() => Choice(
        "--on-overflow",
        "What to do with a block whose scale is beyond binary16: stop, or store infinity as ggml does; 'error' if not given.",
        ("error", ScaleOverflow.Error),
        ("keep", ScaleOverflow.Keep));

    /// <summary><c>--activations int8|f32</c>.</summary>
    public static Option<ActivationPrecision> Activations() => Choice(
        "--activations",
        "What activations are turned into before they meet quantized weights; 'int8' if not given.",
        ("int8", ActivationPrecision.Int8),
        ("f32", ActivationPrecision.Float32));

    /// <summary>An option that takes one of a few words; the first is what counts when it is not given, if it is the type's default.</summary>
    public static Option<T> Choice<T>(string name, string description, params (string Word, T Value)[] choices) => new(name)
    {
        Description = description,
        HelpName = string.Join('|', choices.Select(choice => choice.Word)),
        CustomParser = result =>
        {
            string token = result.Tokens[0].Value;
            foreach ((string word, T value) in choices)
            {
                if (word.Equals(token, StringComparison.OrdinalIgnoreCase))
                {
                    return value;
                }
            }

            result.AddError($"{name} is {string.Join(" or ", choices.Select(choice => $"'{choice.Word}'"))}, not '{token}'.");
            return default;
        },
    };

    /// <summary>An option that takes one codec.</summary>
    public static Option<QuantCodec> Codec(string name, string description, IEnumerable<QuantCodec> codecs) => new(name)
    {
        Description = $"{description} One of {string.Join(", ", codecs.Select(codec => codec.Name))}.",
        HelpName = "codec",
        Required = true,
        CustomParser = result =>
        {
            string token = result.Tokens[0].Value;
            QuantCodec? codec = codecs.FirstOrDefault(codec => codec.Name.Equals(token, StringComparison.OrdinalIgnoreCase));
            if (codec is null)
            {
                string[] names = [.. codecs.Select(codec => codec.Name)];
                result.AddError($"'{token}' is no codec for {name}; the codecs are {string.Join(", ", names)}.{Suggestions.Among(token, names)}");
            }

            return codec;
        },
    };

    /// <summary><c>--codec NAME</c>, as often as one likes.</summary>
    public static Option<QuantCodec[]> Codecs(string description) => new("--codec")
    {
        Description = description,
        HelpName = "name",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result => ParseAll(
            result,
            token => QuantCodec.TryParse(token, out QuantCodec? codec) ? codec : null,
            token => $"'{token}' is no codec; the codecs are {string.Join(", ", AllCodecs.Select(codec => codec.Name))}."),
    };

    /// <summary><c>--tier NAME</c>, as often as one likes.</summary>
    public static Option<KernelTier[]> Tiers(string description) => new("--tier")
    {
        Description = description,
        HelpName = "name",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result => ParseAll<KernelTier?>(
            result,
            token => Enum.TryParse(token, ignoreCase: true, out KernelTier tier) && Enum.IsDefined(tier) ? tier : null,
            token => $"'{token}' is no tier; the tiers are {string.Join(", ", KernelTiers.All.ToArray())}.")
            ?.Select(tier => tier!.Value).ToArray(),
    };

    /// <summary>An option with a whole number.</summary>
    /// <param name="name">Its name with the dashes.</param>
    /// <param name="description">What it means.</param>
    /// <param name="standard">Its value when it is not given.</param>
    /// <param name="least">The least that makes sense.</param>
    /// <param name="most">The most that makes sense.</param>
    public static Option<int> Number(string name, string description, int standard, int least, int most) => new(name)
    {
        Description = description,
        HelpName = "n",
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            if (!TryParse(result.Tokens[0].Value, out int value) || value < least || value > most)
            {
                result.AddError($"{name} is a number from {least} to {most}.");
            }

            return value;
        },
    };

    /// <summary>
    /// The number that was given; null if there is none, or several, or something else, which is an error by itself: an option that is
    /// wrong cannot be asked for its value.
    /// </summary>
    public static int? ValueOf(OptionResult? result) =>
        result is { Tokens.Count: 1 } && TryParse(result.Tokens[0].Value, out int value) ? value : null;

    /// <summary><c>--max-tokens N</c>, <c>-m N</c>.</summary>
    public static Option<int> MaxTokens(string description, int standard)
    {
        Option<int> option = Number("--max-tokens", description, standard, 1, int.MaxValue);
        option.Aliases.Add("-m");
        return option;
    }

    /// <summary>What holds for all options of a verb: flags take no value, and no path or name is empty.</summary>
    public static void Tighten(Command command)
    {
        foreach (Option option in command.Options)
        {
            if (option is Option<bool>)
            {
                option.Arity = ArgumentArity.Zero;
            }
            else if (option is Option<string> { HelpName: not "text" } or Option<string[]>)
            {
                option.Validators.Add(result =>
                {
                    if (result.Tokens.Any(token => token.Value.Length == 0))
                    {
                        result.AddError($"{option.Name} is empty.");
                    }
                });
            }
        }
    }

    private static bool TryParse(string text, out int value) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);

    /// <summary>An option with a whole number, as often as one likes.</summary>
    /// <inheritdoc cref="Number"/>
    public static Option<int[]> Numbers(string name, string description, int[] standard, int least, int most) => new(name)
    {
        Description = description,
        HelpName = "n",
        Arity = ArgumentArity.OneOrMore,
        DefaultValueFactory = _ => standard,
        CustomParser = result => ParseAll<int?>(
            result,
            token => int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most
                ? value
                : null,
            _ => $"{name} is a number from {least} to {most}.")
            ?.Select(value => value!.Value).ToArray(),
    };

    private static T[]? ParseAll<T>(ArgumentResult result, Func<string, T?> parse, Func<string, string> complaint)
    {
        var values = new List<T>();
        foreach (Token token in result.Tokens)
        {
            if (parse(token.Value) is not { } value)
            {
                result.AddError(complaint(token.Value));
                return null;
            }

            values.Add(value);
        }

        return [.. values];
    }
}
