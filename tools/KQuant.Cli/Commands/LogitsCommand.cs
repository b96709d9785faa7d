using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;
using KQuant.Matmul.Backends;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant logits</c>: everything a model says about a text, to compare with other programs.</summary>
internal static class LogitsCommand
{
    /// <summary>Bytes of logits that are computed at once.</summary>
    private const long LogitBytes = 64 << 20;

    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var prompt = new Option<string>("--prompt", "-p") { Description = "The text.", HelpName = "text" };
        var ids = new Option<int[]>("--ids")
        {
            Description = "Token ids instead of a text, with commas between them.",
            HelpName = "1,2,3",
            Arity = ArgumentArity.ExactlyOne,
            CustomParser = ParseIds,
        };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The .safetensors or .npy file to write: float32 [tokens, vocabulary], as 'logits'.",
            HelpName = "file",
            Required = true,
        };
        Option<bool> plain = CommonOptions.NoSpecialTokens();
        Option<bool> overwrite = CommonOptions.Overwrite();
        var command = new Command("logits", "Write the logits of a model at every position of a text.") { prompt, ids, output, plain, overwrite };
        arguments.AddTo(command);
        command.Validators.Add(result =>
        {
            if ((result.GetResult(prompt) is null) == (result.GetResult(ids) is null))
            {
                result.AddError("Give either --prompt or --ids.");
            }
        });
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!;
            bool isNpy = target.EndsWith(".npy", StringComparison.OrdinalIgnoreCase);
            if (!isNpy && !target.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            {
                throw new CommandException($"{target} ends neither in .safetensors nor in .npy.");
            }

            if (File.Exists(target) && !parsed.GetValue(overwrite))
            {
                throw new CommandException($"{target} exists; --overwrite replaces it.");
            }

            int[]? given = parsed.GetResult(ids) is null ? null : parsed.GetValue(ids);
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken, needsTokenizer: given is null);
            int[] tokens = given ?? model.Tokenizer.Encode(parsed.GetValue(prompt)!, addSpecialTokens: !parsed.GetValue(plain));
            if (tokens.Length == 0)
            {
                throw new CommandException("The text has no tokens.");
            }

            if (tokens.Length > model.ContextLength)
            {
                throw new ContextLengthException(tokens.Length, model.ContextLength);
            }

            long[] shape = [tokens.Length, model.Config.VocabularySize];
            if (isNpy)
            {
                NpyFile.Write(target, ElementType.F32, shape, stream => Compute(model, tokens, stream, cancellationToken));
            }
            else
            {
                var writer = new SafetensorsWriter();
                writer.Add("input_ids", ElementType.I64, [tokens.Length], MemoryMarshal.AsBytes(Array.ConvertAll(tokens, id => (long)id).AsSpan()).ToArray());
                writer.Add("logits", ElementType.F32, shape, stream => Compute(model, tokens, stream, cancellationToken));
                writer.Write(target, cancellationToken: cancellationToken);
            }

            parsed.InvocationConfiguration.Output.WriteLine($"Wrote logits [{shape[0]}, {shape[1]}] to {target}.");
        });
        return command;
    }

    private static int[]? ParseIds(ArgumentResult result)
    {
        var ids = new List<int>();
        foreach (string item in result.Tokens[0].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!int.TryParse(item, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
            {
                result.AddError($"--ids has '{item}', which is no token id.");
                return null;
            }

            ids.Add(id);
        }

        if (ids.Count == 0)
        {
            result.AddError("--ids is empty.");
        }

        return [.. ids];
    }

    private static void Compute(LanguageModel model, int[] tokens, Stream stream, CancellationToken cancellation)
    {
        int vocabulary = model.Config.VocabularySize;
        int rows = (int)Math.Clamp(LogitBytes / sizeof(float) / vocabulary, 1, tokens.Length);
        var logits = new float[rows * vocabulary];
        using KeyValueCache cache = model.CreateCache();
        for (int start = 0; start < tokens.Length; start += rows)
        {
            int count = Math.Min(rows, tokens.Length - start);
            Span<float> part = logits.AsSpan(0, count * vocabulary);
            model.Forward(tokens.AsSpan(start, count), cache, part, cancellation);
            stream.Write(MemoryMarshal.AsBytes(part));
        }
    }
}
