using System.CommandLine;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models;
using KQuant.Models.Adapters;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant lora fuse</c>: adapters become part of a model.</summary>
internal static class LoraFuseCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        Option<AdapterArgument[]> adapters = AdapterArgument.Option();
        adapters.Required = true;
        var output = new Option<string>("--output", "-o") { Description = "The folder or .gguf file to write.", HelpName = "path", Required = true };
        Option<QuantCodec?> dequantize = CommonOptions.Choice<QuantCodec?>(
            "--dequantize",
            "Decode all weights into this type, instead of encoding those that were adapted with the codecs that they have.",
            [.. QuantCodec.Floats.Select(codec => (codec.Name, (QuantCodec?)codec))]);
        Option<EncodeMode> encode = CommonOptions.Encode();
        var imatrix = new Option<string>("--imatrix") { Description = "An importance matrix, .gguf or .dat, for the weights that are encoded again.", HelpName = "file" };
        Option<int> threads = CommonOptions.Threads();
        Option<bool> overwrite = CommonOptions.Overwrite();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("fuse", "Add LoRA adapters to the weights of a model in float32, and encode them again.")
        {
            model, adapters, output, dequantize, encode, imatrix, threads, overwrite, json,
        };
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            QuantCodec? floats = parsed.GetValue(dequantize);
            using ModelSource source = ModelFormats.Open(parsed.GetModel(model), target, ModelFormats.FormatOf(target));
            QuantizationPlan plan = AdapterFusion.CreatePlan(source, AdapterArgument.Load(parsed.GetValue(adapters)), floats);
            using ImportanceMatrix? matrix = parsed.GetValue(imatrix) is { } file ? ImatrixFiles.Open(file) : null;
            TensorNames? names = ModelTensorNames.TryFor(source.Architecture, out TensorNames? known) ? known : null;
            var options = new ConversionOptions
            {
                Importance = matrix is null ? null : ImportanceMap.Create(plan, matrix, names),
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
                Overwrite = parsed.GetValue(overwrite),
                Mode = parsed.GetValue(encode),
                MeasureError = floats?.Format != QuantFormat.F32,
                ExpertNames = floats is null ? null : names,
            };
            ConversionOutput.Run(parsed, source, plan, target, options, dryRun: false, parsed.GetValue(json), cancellationToken);
        });
        return command;
    }
}
