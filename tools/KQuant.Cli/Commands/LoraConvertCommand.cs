using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Models;
using KQuant.Models.Adapters;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant lora convert</c>: an adapter in another format.</summary>
internal static class LoraConvertCommand
{
    internal static Command Create()
    {
        Argument<string> path = LoraCommand.Adapter();
        Option<AdapterFormat?> to = CommonOptions.Choice<AdapterFormat?>(
            "--to", "The format to write.", ("mlx-lm", AdapterFormat.MlxLm), ("peft", AdapterFormat.Peft), ("gguf", AdapterFormat.Gguf));
        to.Required = true;
        var output = new Option<string>("--output", "-o") { Description = "The folder or .gguf file to write.", HelpName = "path", Required = true };
        Option<string> model = LoraCommand.Model(
            "The model that the adapter is for: GGUF files need its architecture, PEFT the names of its experts, and queries and keys of some the size of heads.");
        var name = new Option<string>("--base-model") { Description = "What the adapter calls the model that it is for; what it said before if not given.", HelpName = "name" };
        var uniform = new Option<bool>("--uniform-rank")
        {
            Description = "Give all weights the largest rank, with zeros: the same function, which mlx-lm loads where ranks differ.",
        };
        Option<bool> overwrite = CommonOptions.Overwrite();
        var command = new Command("convert", "Write a LoRA adapter in another format: for mlx-lm, PEFT or llama.cpp.")
        {
            path, to, output, model, name, uniform, overwrite,
        };
        command.SetWork((parsed, cancellationToken) =>
        {
            var adapter = LoraAdapter.Load(ModelPath.Resolve(parsed.GetValue(path)!));
            ModelConfig? config = null;
            if (parsed.GetValue(model) is { } given)
            {
                using var loaded = LanguageModel.Load(ModelPath.Resolve(given), new ModelOptions { LoadTokenizer = false }, cancellationToken: cancellationToken);
                config = loaded.Config;
                if (loaded.FindMisfit(adapter) is { } misfit)
                {
                    throw new CommandException(misfit);
                }
            }

            string target = parsed.GetValue(output)!;
            if (!parsed.GetValue(overwrite) && (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any())))
            {
                throw new CommandException($"{target} exists; --overwrite replaces it.");
            }

            AdapterFormat format = parsed.GetValue(to)!.Value;
            IReadOnlyList<string> notes = adapter.Save(target, format, new AdapterSaveOptions
            {
                Model = config,
                BaseModel = parsed.GetValue(name),
                UniformRank = parsed.GetValue(uniform),
                Overwrite = parsed.GetValue(overwrite),
            });
            TextWriter text = parsed.InvocationConfiguration.Output;
            foreach (string note in notes)
            {
                text.WriteLine(PlainText.OneLine(note));
            }

            text.WriteLine($"Wrote {target}, {LoraCommand.NameOf(format)}: {adapter.Weights.Count} weights.");
        });
        return command;
    }
}
