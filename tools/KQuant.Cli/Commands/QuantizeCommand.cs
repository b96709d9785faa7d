using System.CommandLine;
using System.CommandLine.Parsing;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models;
using KQuant.Models.Export;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant quantize</c>: a codec for each weight of a model.</summary>
internal static class QuantizeCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        var recipe = new RecipeArguments();
        var output = new Option<string>("--output", "--mlx-path")
        {
            Description = "The folder or .gguf file to write.",
            HelpName = "path",
            Required = true,
        };
        Option<ModelFormat> format = CommonOptions.Choice(
            "--format", "The kind of output; if not given, the name tells.", ("mlx", ModelFormat.Mlx), ("gguf", ModelFormat.Gguf));
        Option<EncodeMode> encode = CommonOptions.Encode();
        var imatrix = new Option<string>("--imatrix") { Description = "An importance matrix, .gguf or .dat.", HelpName = "file" };
        var ignoreMismatch = new Option<bool>("--ignore-mismatch")
        {
            Description = "Quantize weights without importance whose entry in the matrix has another size, instead of stopping.",
        };
        Option<ScaleOverflow> onOverflow = CommonOptions.OnOverflow();
        var allowRequantize = new Option<bool>("--allow-requantize") { Description = "Decode weights that are quantized already and encode them again." };
        var pre = new Option<string>("--pre-tokenizer")
        {
            Description = "llama.cpp's name of a checkpoint's pre-tokenizer, for a GGUF; if not given, tokenizer.json tells.",
            HelpName = "name",
        };
        Option<int> threads = CommonOptions.Threads();
        Option<JobShard> shard = CommonOptions.Shard(
            "Encode only the tensors of part I of N, balanced by bytes, into OUTPUT.parts; N processes or machines do so, then --assemble.");
        var assemble = new Option<bool>("--assemble")
        {
            Description = "Write the output from the parts that --shard has made; everything else on the command line as it was there.",
        };
        var dryRun = new Option<bool>("--dry-run") { Description = "Show what would become of each tensor; write nothing." };
        Option<bool> overwrite = CommonOptions.Overwrite();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("quantize", "Quantize a float model: a checkpoint folder to an MLX checkpoint or to GGUF, or GGUF to GGUF.")
        {
            model, output, format, encode, imatrix, ignoreMismatch, onOverflow, allowRequantize, pre, threads, shard, assemble, dryRun, overwrite, json,
        };
        recipe.AddTo(command);
        var budget = new BudgetArguments();
        budget.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetValue(assemble) && result.GetResult(shard) is not null)
            {
                result.AddError("--shard makes one part and --assemble the whole from all; give one of them.");
            }
            else if (result.GetValue(dryRun) && (result.GetValue(assemble) || result.GetResult(shard) is not null))
            {
                result.AddError("--dry-run shows what becomes of all tensors; leave --shard and --assemble out.");
            }

            // Words rather than values: those of an option that is wrong by itself cannot be asked for.
            string? kind = WordOf(result, format) ?? (WordOf(result, output) is string target ? ModelFormats.FormatOf(target).ToString() : null);
            if (budget.IsGiven(result))
            {
                if (recipe.IsGiven(result))
                {
                    result.AddError("A target size chooses all codecs; --preset and --kquant-type do so, too.");
                }

                return;
            }

            if (recipe.FindMissing(result) is string missing)
            {
                result.AddError(missing);
            }

            if (recipe.FindProblem(result, kind) is string problem)
            {
                result.AddError(problem);
            }
        });
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            using ImportanceMatrix? matrix = OpenImportance(parsed.GetValue(imatrix));
            ModelFormat kind = parsed.GetResult(format) is null ? ModelFormats.FormatOf(target) : parsed.GetValue(format);
            var export = new GgufExportOptions { PreTokenizer = parsed.GetValue(pre) };
            using ModelSource source = ModelFormats.Open(parsed.GetModel(model), target, kind, export);
            RecipeOptions adjustments = recipe.GetOptions(parsed, matrix is not null, parsed.GetValue(allowRequantize));
            var options = new ConversionOptions
            {
                Mode = parsed.GetValue(encode),
                Overflow = parsed.GetValue(onOverflow),
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
                Overwrite = parsed.GetValue(overwrite),
            };
            bool isTarget = budget.IsGiven(parsed.CommandResult), asJson = parsed.GetValue(json);
            QuantizationPlan plan = MakePlan(
                source,
                isTarget ? QuantizationRecipe.Uniform(QuantCodec.Get(QuantFormat.Q8_0)) : recipe.GetRecipe(parsed),
                adjustments,
                kind == ModelFormat.Mlx ? recipe.GetMlxPlan(parsed, source, adjustments.Requantize) : null);
            options = options with
            {
                Importance = matrix is null
                    ? null
                    : ImportanceMap.Create(plan, matrix, NamesOf(source), parsed.GetValue(ignoreMismatch)),
            };
            if (budget.Solve(parsed, source, adjustments, options, asJson, cancellationToken) is QuantizationBudget solved)
            {
                plan = solved.Plan;
                if (!asJson)
                {
                    BudgetArguments.Write(solved, parsed.InvocationConfiguration.Output);
                }
            }

            ConversionOutput.Run(parsed, source, plan, target, options, parsed.GetValue(dryRun), parsed.GetValue(json), cancellationToken,
                parsed.GetValue(shard), parsed.GetValue(assemble));
        });
        return command;
    }

    private static string? WordOf(CommandResult command, Option option) =>
        command.GetResult(option) is { Tokens.Count: > 0 } result ? result.Tokens[0].Value : null;

    /// <summary>Opened before the model, so that a wrong name costs no time.</summary>
    private static ImportanceMatrix? OpenImportance(string? path)
    {
        if (path is null)
        {
            return null;
        }

        return File.Exists(path) ? ImportanceMatrix.Open(path) : throw new CommandException($"{path}: there is no such importance matrix.");
    }

    private static TensorNames? NamesOf(ModelSource source) =>
        ModelTensorNames.TryFor(source.Architecture, out TensorNames? names) ? names : null;

    private static QuantizationPlan MakePlan(ModelSource source, QuantizationRecipe? recipe, RecipeOptions options, QuantizationPlan? mlx)
    {
        if (recipe is null && mlx is null)
        {
            if (source is not GgufExport)
            {
                throw new CommandException(
                    "--preset or --kquant-type is missing; only a checkpoint folder that becomes a GGUF file does without.");
            }

            return FitsGguf(source)
                ? QuantizationPlan.Keep(source)
                : throw new CommandException(
                    $"{source.Path} is quantized{Formats(source)}, which no GGUF file can hold; --kquant-type with --allow-requantize encodes "
                    + "it again, 'kquant dequantize' makes floats of it.");
        }

        bool allowRequantize = options.Requantize;
        QuantizationPlan plan = mlx ?? QuantizationPlan.FromRecipe(source, recipe!, options);
        if (ModelFormats.FolderOf(source) is { QuantizationMode: string mode } folder && (!allowRequantize || !folder.IsDecodable))
        {
            throw new CommandException(
                $"{source.Path} is already quantized (mode '{mode}'{Formats(source)})"
                + (folder.IsDecodable ? "; --allow-requantize encodes it again" : "")
                + (source is GgufExport && FitsGguf(source) ? ", without --kquant-type it keeps its formats." : "."));
        }

        if (plan.Tensors.Any(tensor => tensor.Reason == PlanReason.AlreadyQuantized))
        {
            throw new CommandException(
                $"{source.Path} is already quantized{Formats(source)}; --allow-requantize decodes it and encodes it again.");
        }

        if (allowRequantize && source.Tensors.FirstOrDefault(ModelFormats.IsUndecodable) is ModelTensor tensor)
        {
            throw new CommandException($"{source.Path}: {tensor.Name} is {tensor.FormatName}, which cannot be decoded here.");
        }

        return source is GgufExport || plan.Tensors.Any(tensor => tensor.Codec is not null)
            ? plan
            : throw new CommandException($"{source.Path} has no weight to quantize among its {source.Tensors.Count} tensors.");
    }

    private static bool FitsGguf(ModelSource source) => !source.Tensors.Any(tensor => tensor.Codec is { Format: null });

    private static string Formats(ModelSource source)
    {
        var counts = source.Tensors
            .Where(tensor => tensor.Codec is { IsQuantized: true } || ModelFormats.IsUndecodable(tensor))
            .GroupBy(tensor => tensor.FormatName)
            .OrderByDescending(group => group.Count())
            .Select(group => $"{group.Count()} {group.Key}")
            .ToArray();
        return counts.Length == 0 ? "" : $": {string.Join(", ", counts)} tensors";
    }
}
