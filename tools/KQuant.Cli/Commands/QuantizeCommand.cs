using System.CommandLine;
using System.CommandLine.Parsing;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models;
using KQuant.Models.Export;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant quantize</c>: one codec for all weights of a model.</summary>
internal static class QuantizeCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        Option<QuantizeChoice> codec = QuantizeChoice.Option(
            "The codec for every weight that has room for it. A checkpoint that becomes a GGUF file keeps its formats without it.");
        Option<int> groupSize = CommonOptions.Number(
            "--group-size", "Weights that share a scale, for affine and mixed checkpoints: 32, 64 or 128; 64 if not given.", 64, 1, 1024);
        groupSize.DefaultValueFactory = null;
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
        Option<ScaleOverflow> onOverflow = CommonOptions.OnOverflow();
        var allowRequantize = new Option<bool>("--allow-requantize") { Description = "Decode weights that are quantized already and encode them again." };
        var pre = new Option<string>("--pre-tokenizer")
        {
            Description = "llama.cpp's name of a checkpoint's pre-tokenizer, for a GGUF; if not given, tokenizer.json tells.",
            HelpName = "name",
        };
        Option<int> threads = CommonOptions.Threads();
        var dryRun = new Option<bool>("--dry-run") { Description = "Show what would become of each tensor; write nothing." };
        Option<bool> overwrite = CommonOptions.Overwrite();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("quantize", "Quantize a float model: a checkpoint folder to an MLX checkpoint or to GGUF, or GGUF to GGUF.")
        {
            model, codec, groupSize, output, format, encode, imatrix, onOverflow, allowRequantize, pre, threads, dryRun, overwrite, json,
        };
        command.Validators.Add(result =>
        {
            // Words rather than values: those of an option that is wrong by itself cannot be asked for.
            string? kind = WordOf(result, format) ?? (WordOf(result, output) is string target ? ModelFormats.FormatOf(target).ToString() : null);
            bool isCheckpoint = nameof(ModelFormat.Mlx).Equals(kind, StringComparison.OrdinalIgnoreCase);
            QuantizeChoice? choice = WordOf(result, codec) is string word ? QuantizeChoice.Find(word) : null;
            if (isCheckpoint && FindCodecProblem(WordOf(result, codec)) is string problem)
            {
                result.AddError(problem);
            }
            else if (!isCheckpoint && kind is not null && choice is { Codec: null })
            {
                result.AddError($"'{choice.Word}' is a mode of MLX's, which a GGUF file cannot hold.");
            }
            else if (CommonOptions.ValueOf(result.GetResult(groupSize)) is int size && choice?.FindGroupSizeProblem(size, isCheckpoint) is string sizeProblem)
            {
                result.AddError(sizeProblem);
            }
        });
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            using ImportanceMatrix? matrix = OpenImportance(parsed.GetValue(imatrix));
            ModelFormat kind = parsed.GetResult(format) is null ? ModelFormats.FormatOf(target) : parsed.GetValue(format);
            var export = new GgufExportOptions { PreTokenizer = parsed.GetValue(pre) };
            using ModelSource source = ModelFormats.Open(parsed.GetModel(model), target, kind, export);
            QuantizationPlan plan = MakePlan(source, parsed.GetValue(codec), kind, CommonOptions.ValueOf(parsed.GetResult(groupSize)), parsed.GetValue(allowRequantize));
            ImportanceMap? importance = matrix is null ? null : ImportanceMap.Create(plan, matrix, NamesOf(source));
            var options = new ConversionOptions
            {
                Mode = parsed.GetValue(encode),
                Overflow = parsed.GetValue(onOverflow),
                Importance = importance,
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
                Overwrite = parsed.GetValue(overwrite),
            };
            ConversionOutput.Run(parsed, source, plan, target, options, parsed.GetValue(dryRun), parsed.GetValue(json), cancellationToken);
        });
        return command;
    }

    private static string? WordOf(CommandResult command, Option option) =>
        command.GetResult(option) is { Tokens.Count: > 0 } result ? result.Tokens[0].Value : null;

    /// <summary>What is wrong with a codec for a checkpoint; nothing if it is none, which has an error of its own.</summary>
    private static string? FindCodecProblem(string? codec) =>
        codec is null ? "Option '--kquant-type' is required."
        : QuantCodec.TryParse(codec, out QuantCodec? parsed) && !parsed.IsQuantized
            ? $"'{codec}' is no codec for --kquant-type of a checkpoint; only GGUF files take floats here."
            : null;

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

    private static QuantizationPlan MakePlan(ModelSource source, QuantizeChoice? choice, ModelFormat kind, int? groupSize, bool allowRequantize)
    {
        if (choice is null)
        {
            return source is GgufExport
                ? QuantizationPlan.Keep(source)
                : throw new CommandException("--kquant-type is missing; only a checkpoint folder that becomes a GGUF file does without it.");
        }

        QuantizationPlan plan = kind == ModelFormat.Mlx && choice.Mode is not null
            ? choice.MakeMlxPlan(source, groupSize, allowRequantize)
            : QuantizationPlan.Uniform(source, choice.Codec!, allowRequantize);
        if (ModelFormats.FolderOf(source) is { QuantizationMode: string mode } folder && (!allowRequantize || !folder.IsDecodable))
        {
            throw new CommandException(
                $"{source.Path} is already quantized (mode '{mode}'{Formats(source)})"
                + (folder.IsDecodable ? "; --allow-requantize encodes it again" : "")
                + (source is GgufExport ? ", without --kquant-type it keeps its formats." : "."));
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
