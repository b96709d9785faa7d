using System.CommandLine;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant quantize</c>: one codec for all weights of a model.</summary>
internal static class QuantizeCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        Option<QuantCodec> codec = CommonOptions.Codec("--kquant-type", "The codec for every weight that has room for it.", QuantCodec.All);
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
        Option<int> threads = CommonOptions.Threads();
        var dryRun = new Option<bool>("--dry-run") { Description = "Show what would become of each tensor; write nothing." };
        Option<bool> overwrite = CommonOptions.Overwrite();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("quantize", "Quantize a float model: a checkpoint folder to an MLX checkpoint or to a GGUF file, or GGUF to GGUF.")
        {
            model, codec, output, format, encode, imatrix, onOverflow, allowRequantize, threads, dryRun, overwrite, json,
        };
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            using ImportanceMatrix? matrix = OpenImportance(parsed.GetValue(imatrix));
            ModelFormat kind = parsed.GetResult(format) is null ? Models.FormatOf(target) : parsed.GetValue(format);
            using IModelSource source = Models.Open(parsed.GetValue(model)!, kind);
            Models.CheckFormat(source, target, kind);
            QuantizationPlan plan = MakePlan(source, parsed.GetValue(codec)!, parsed.GetValue(allowRequantize));
            ImportanceMap? importance = matrix is null ? null : ImportanceMap.Create(plan, matrix, source.Architecture);
            var options = new ConversionOptions
            {
                Mode = parsed.GetValue(encode),
                Overflow = parsed.GetValue(onOverflow),
                Importance = importance,
                MaxThreads = parsed.GetThreads(threads),
                Overwrite = parsed.GetValue(overwrite),
            };
            ConversionOutput.Run(parsed, source, plan, target, options, parsed.GetValue(dryRun), parsed.GetValue(json), cancellationToken);
        });
        return command;
    }

    /// <summary>Opened before the model, so that a wrong name costs no time.</summary>
    private static ImportanceMatrix? OpenImportance(string? path)
    {
        if (path is null)
        {
            return null;
        }

        return File.Exists(path) ? ImportanceMatrix.Open(path) : throw new CommandException($"{path}: there is no such importance matrix.");
    }

    private static QuantizationPlan MakePlan(IModelSource source, QuantCodec codec, bool allowRequantize)
    {
        QuantizationPlan plan = QuantizationPlan.Uniform(source.Tensors, codec, allowRequantize);
        if (source is ModelFolder { QuantizationMode: string mode } && (!allowRequantize || mode != "kquant"))
        {
            throw new CommandException(
                $"{source.Path} is already quantized (mode '{mode}'{Formats(source)})"
                + (mode == "kquant" ? "; --allow-requantize encodes it again." : "."));
        }

        if (plan.Tensors.Any(tensor => tensor.Reason == PlanReason.AlreadyQuantized))
        {
            throw new CommandException(
                $"{source.Path} is already quantized{Formats(source)}; --allow-requantize decodes it and encodes it again.");
        }

        if (allowRequantize && source.Tensors.FirstOrDefault(Models.IsUndecodable) is IModelTensorSource tensor)
        {
            throw new CommandException($"{source.Path}: {tensor.Name} is {tensor.FormatName}, which cannot be decoded here.");
        }

        return plan.Tensors.Any(tensor => tensor.Codec is not null)
            ? plan
            : throw new CommandException($"{source.Path} has no weight to quantize among its {source.Tensors.Count} tensors.");
    }

    private static string Formats(IModelSource source)
    {
        var counts = source.Tensors
            .Where(tensor => tensor.Codec is { IsQuantized: true } || Models.IsUndecodable(tensor))
            .GroupBy(tensor => tensor.FormatName)
            .OrderByDescending(group => group.Count())
            .Select(group => $"{group.Count()} {group.Key}")
            .ToArray();
        return counts.Length == 0 ? "" : $": {string.Join(", ", counts)} tensors";
    }
}
