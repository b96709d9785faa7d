using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Cli.Commands;

/// <summary>The options of <c>kquant quantize</c> that say which tensor gets which codec.</summary>
internal sealed class RecipeArguments
{
    private static readonly TimeSpan PatternTime = TimeSpan.FromSeconds(1);

    private readonly Option<QuantizeChoice> _codec = QuantizeChoice.Option(
        "The codec for every weight that has room for it. A checkpoint that becomes a GGUF file keeps its formats without it.");

    private readonly Option<int> _groupSize = CommonOptions.Number(
        "--group-size", "Weights that share a scale, for affine and mixed checkpoints: 32, 64 or 128; 64 if not given.", 64, 1, 1024);

    private readonly Option<QuantizationRecipe> _preset = PresetOption();
    private readonly Option<bool> _list = new("--list-presets") { Description = "Show the presets and what they do; nothing else.", Action = new ListAction() };
    private readonly Option<TensorOverride[]> _overrides = OverrideOption();

    private readonly Option<string> _file = new("--tensor-type-file")
    {
        Description = "More overrides, one REGEX=CODEC a line, as in llama.cpp; '#' begins a comment. They count after those of --override.",
        HelpName = "file",
    };

    private readonly Option<string[]> _excluded = new("--exclude")
    {
        Description = "Leave tensors as they are whose name has this pattern; may be given several times.",
        HelpName = "regex",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<QuantCodec> _output = OptionalCodec("--output-type", "The codec of the matrix that makes logits.");
    private readonly Option<QuantCodec> _embedding = OptionalCodec("--embedding-type", "The codec of the token embedding.");
    private readonly Option<bool> _pure = new("--pure") { Description = "The codec of the preset for every weight, without its exceptions." };

    /// <summary>Adds the options to the command.</summary>
    public void AddTo(Command command)
    {
        _groupSize.DefaultValueFactory = null;
        foreach (Option option in new Option[] { _codec, _groupSize, _preset, _list, _overrides, _file, _excluded, _output, _embedding, _pure })
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (result.GetResult(_codec) is not null && result.GetResult(_preset) is not null)
            {
                result.AddError("--preset and --kquant-type say both which codec weights get; give one of them.");
            }

            foreach (Token token in result.GetResult(_excluded)?.Tokens ?? [])
            {
                if (!TryMakePattern(token.Value, out _, out string? problem))
                {
                    result.AddError($"--exclude is a regular expression, not '{token.Value}': {problem}");
                }
            }
        });
    }

    /// <summary>Whether a preset or a codec was asked for.</summary>
    public bool IsGiven(CommandResult command) => command.GetResult(_codec) is not null || command.GetResult(_preset) is not null;

    /// <summary>What is wrong when neither was; null for nothing.</summary>
    public string? FindMissing(CommandResult command) =>
        !IsGiven(command) && FindAdjustment(command) is Option option ? $"{option.Name} needs --preset, --kquant-type or a target size." : null;

    /// <summary>What is wrong with the options for a kind of output; null for nothing, also if they are wrong by themselves.</summary>
    public string? FindProblem(CommandResult command, string? kind)
    {
        bool isCheckpoint = nameof(ModelFormat.Mlx).Equals(kind, StringComparison.OrdinalIgnoreCase);
        string? word = command.GetResult(_codec) is { Tokens.Count: > 0 } result ? result.Tokens[0].Value : null;
        QuantizeChoice? choice = word is null ? null : QuantizeChoice.Find(word);
        if (isCheckpoint && command.GetResult(_preset) is null && FindCheckpointProblem(word) is string problem)
        {
            return problem;
        }

        if (!isCheckpoint && kind is not null && choice is { Codec: null })
        {
            return $"'{choice.Word}' is a mode of MLX's, which a GGUF file cannot hold.";
        }

        if (CommonOptions.ValueOf(command.GetResult(_groupSize)) is int size)
        {
            return choice is null ? "--group-size is for MLX's modes of a checkpoint." : choice.FindGroupSizeProblem(size, isCheckpoint);
        }

        return isCheckpoint && choice is { Mode: not null } && FindAdjustment(command) is Option adjustment
            ? $"{adjustment.Name} is for block codecs; '{choice.Word}' is a mode of MLX's."
            : null;
    }

    /// <summary>The recipe that was asked for; null for none.</summary>
    public QuantizationRecipe? GetRecipe(ParseResult parsed) =>
        parsed.GetValue(_preset) ?? (parsed.GetValue(_codec)?.Codec is QuantCodec codec ? QuantizationRecipe.Uniform(codec) : null);

    /// <summary>The plan of MLX's mode that was asked for; null if it was none.</summary>
    public QuantizationPlan? GetMlxPlan(ParseResult parsed, ModelSource source, bool requantize) => parsed.GetValue(_codec) is { Mode: not null } choice
        ? choice.MakeMlxPlan(source, CommonOptions.ValueOf(parsed.GetResult(_groupSize)), requantize)
        : null;

    /// <summary>What is to be otherwise than the recipe has it.</summary>
    public RecipeOptions GetOptions(ParseResult parsed, bool hasImportance, bool requantize) => new()
    {
        Overrides = [.. parsed.GetValue(_overrides) ?? [], .. ReadFile(parsed.GetValue(_file))],
        Excluded = [.. (parsed.GetValue(_excluded) ?? []).Select(MakePattern)],
        OutputCodec = parsed.GetValue(_output),
        EmbeddingCodec = parsed.GetValue(_embedding),
        IsPure = parsed.GetValue(_pure),
        HasImportance = hasImportance,
        Requantize = requantize,
    };

    /// <summary>The table behind <c>--list-presets</c>.</summary>
    public static void List(TextWriter output)
    {
        foreach (QuantizationRecipe recipe in QuantizationRecipe.All)
        {
            output.WriteLine($"{recipe.Name,-14} {recipe.Codec.Name}");
            foreach (string line in recipe.Lines)
            {
                output.WriteLine($"{"",-14} {line}");
            }
        }

        output.WriteLine();
        output.WriteLine("Of the lines of a preset the first that fits a tensor counts; tensors that none fits get the codec beside its name.");
        output.WriteLine("Embeddings that are the output as well count as output. Presets with 'llama.' decide as llama-quantize does.");
    }

    private static string? FindCheckpointProblem(string? codec) =>
        codec is null ? "Option '--kquant-type' or '--preset' is required."
        : QuantCodec.TryParse(codec, out QuantCodec? parsed) && !parsed.IsQuantized
            ? $"'{codec}' is no codec for --kquant-type of a checkpoint; only GGUF files take floats here."
            : null;

    private Option? FindAdjustment(CommandResult result) =>
        new Option[] { _overrides, _file, _excluded, _output, _embedding, _pure }.FirstOrDefault(option => result.GetResult(option) is { Implicit: false });

    private static Option<QuantCodec> OptionalCodec(string name, string description)
    {
        Option<QuantCodec> option = CommonOptions.Codec(name, description, CommonOptions.AllCodecs);
        option.Required = false;
        return option;
    }

    private static Option<QuantizationRecipe> PresetOption() => new("--preset")
    {
        Description = "A mix of codecs by name, such as q4_k_m or llama.q4_k_m; --list-presets shows them all.",
        HelpName = "name",
        CustomParser = result =>
        {
            string token = result.Tokens[0].Value;
            if (!QuantizationRecipe.TryParse(token, out QuantizationRecipe? recipe))
            {
                string near = Suggestions.Among(token, QuantizationRecipe.All.Select(candidate => candidate.Name));
                result.AddError($"'{token}' is no preset for --preset; --list-presets shows them.{near}");
            }

            return recipe;
        },
    };

    private static Option<TensorOverride[]> OverrideOption() => new("--override")
    {
        Description = "The codec of tensors whose name has this pattern; may be given several times, the first that fits counts.",
        HelpName = "regex=codec",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            var overrides = new List<TensorOverride>();
            foreach (Token token in result.Tokens)
            {
                if (!TryParse(token.Value, out TensorOverride? parsed, out string? problem))
                {
                    result.AddError($"--override is REGEX=CODEC, not '{token.Value}': {problem}");
                    return null;
                }

                overrides.Add(parsed!);
            }

            return [.. overrides];
        },
    };

    private static IEnumerable<TensorOverride> ReadFile(string? path)
    {
        if (path is null)
        {
            yield break;
        }

        int number = 0;
        foreach (string line in Utf8Reader.ReadFile(path).Split('\n'))
        {
            number++;
            foreach (string word in line.Split('#')[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            {
                yield return TryParse(word, out TensorOverride? parsed, out string? problem)
                    ? parsed!
                    : throw new CommandException($"{path}, line {number}: '{word}' is not REGEX=CODEC: {problem}");
            }
        }
    }

    private static bool TryParse(string text, out TensorOverride? parsed, out string? problem)
    {
        parsed = null;
        int at = text.LastIndexOf('=');
        if (at < 1)
        {
            problem = at < 0 ? "there is no '='." : "there is no pattern.";
            return false;
        }

        if (!QuantCodec.TryParse(text[(at + 1)..], out QuantCodec? codec))
        {
            string near = Suggestions.Among(text[(at + 1)..], CommonOptions.AllCodecs.Select(candidate => candidate.Name));
            problem = $"'{text[(at + 1)..]}' is no codec.{near}";
            return false;
        }

        if (!TryMakePattern(text[..at], out Regex? pattern, out problem))
        {
            return false;
        }

        parsed = new TensorOverride(pattern!, codec);
        return true;
    }

    private static Regex MakePattern(string text) => new(text, RegexOptions.CultureInvariant, PatternTime);

    private static bool TryMakePattern(string text, out Regex? pattern, out string? problem)
    {
        (pattern, problem) = (null, null);
        try
        {
            pattern = MakePattern(text);
            return true;
        }
        catch (ArgumentException exception)
        {
            problem = exception.Message;
            return false;
        }
    }

    /// <summary>Ends the command before anything that is required is missed.</summary>
    private sealed class ListAction : SynchronousCommandLineAction
    {
        public override bool Terminating => true;

        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            List(parseResult.InvocationConfiguration.Output);
            return 0;
        }
    }
}
