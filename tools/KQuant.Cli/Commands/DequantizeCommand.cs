using System.CommandLine;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant dequantize</c>: a float model again.</summary>
internal static class DequantizeCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A K-quant checkpoint folder, or a GGUF file.");
        var output = new Option<string>("--output")
        {
            Description = "The folder or .gguf file to write.",
            HelpName = "path",
            Required = true,
        };
        Option<QuantCodec> type = CommonOptions.Choice(
            "--dtype",
            "The type of the decoded weights: f32 holds them as they are, the others round; 'f32' if not given.",
            [.. QuantCodec.Floats.Select(codec => (codec.Name, codec))]);
        Option<int> threads = CommonOptions.Threads();
        Option<bool> overwrite = CommonOptions.Overwrite();
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "dequantize", "Decode a quantized model: a checkpoint to a Hugging Face checkpoint of floats or to GGUF, or GGUF to GGUF.")
        {
            model, output, type, threads, overwrite, json,
        };
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            QuantCodec codec = parsed.GetValue(type) ?? QuantCodec.Get(QuantFormat.F32);
            using ModelSource source = ModelFormats.Open(parsed.GetModel(model), target, ModelFormats.FormatOf(target));
            CheckQuantized(source);
            QuantizationPlan plan = QuantizationPlan.Dequantize(source, codec, allFloats: source is ModelFolder);
            var options = new ConversionOptions
            {
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
                Overwrite = parsed.GetValue(overwrite),
                MeasureError = codec.Format != QuantFormat.F32,
                ExpertNames = ModelTensorNames.TryFor(source.Architecture, out TensorNames? names) ? names : null,
            };
            ConversionOutput.Run(parsed, source, plan, target, options, dryRun: false, parsed.GetValue(json), cancellationToken);
        });
        return command;
    }

    private static void CheckQuantized(ModelSource source)
    {
        if (ModelFormats.FolderOf(source) is { IsDecodable: false } folder)
        {
            throw new CommandException($"{source.Path} is quantized with mode '{folder.QuantizationMode}', which is not read here.");
        }

        if (source.Tensors.FirstOrDefault(ModelFormats.IsUndecodable) is ModelTensor tensor)
        {
            throw new CommandException($"{source.Path}: {tensor.Name} is {tensor.FormatName}, which cannot be decoded here.");
        }

        if (!source.Tensors.Any(tensor => tensor.Codec is { IsQuantized: true }))
        {
            throw new CommandException($"{source.Path} holds no quantized weights; there is nothing to decode.");
        }
    }
}
