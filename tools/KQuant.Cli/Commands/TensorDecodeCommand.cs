using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant tensor decode</c>: one tensor to float32.</summary>
internal static class TensorDecodeCommand
{
    private static readonly string[] Extensions = [".npy", ".safetensors", ".gguf"];

    internal static Command Create()
    {
        Argument<string> input = TensorFile.Argument("tensor", "The tensor:");
        var output = new Option<string>("-o", "--output")
        {
            Description = "The .npy, .safetensors or .gguf file to write; replaced if it exists.",
            HelpName = "file",
            Required = true,
        };
        output.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && !Extensions.Contains(ExtensionOf(result.Tokens[0].Value)))
            {
                result.AddError($"-o takes a name that ends in .npy, .safetensors or .gguf, not '{result.Tokens[0].Value}'.");
            }
        });
        Option<int> threads = CommonOptions.Threads();
        var command = new Command("decode", "Decode a tensor to float32.") { input, output, threads };
        command.SetWork((parsed, cancellationToken) =>
        {
            using TensorFile file = TensorFile.Open(parsed.GetValue(input)!);
            ModelTensor tensor = file.Tensor;
            if (tensor.Codec is null)
            {
                throw new CommandException($"{parsed.GetValue(input)} is {tensor.FormatName}, which cannot be decoded here.");
            }

            string target = parsed.GetValue(output)!;
            int maxThreads = parsed.GetThreads(threads);
            Write(tensor, target, stream => TensorConverter.Decode(tensor, stream, maxThreads, cancellationToken), cancellationToken);
            parsed.InvocationConfiguration.Output.WriteLine(
                $"Wrote {target}: {tensor.Name} {Amounts.Shape(tensor.Shape)}, decoded from {tensor.FormatName} to f32.");
        });
        return command;
    }

    private static string ExtensionOf(string path) => Path.GetExtension(path).ToLowerInvariant();

    private static void Write(ModelTensor tensor, string path, Action<Stream> write, CancellationToken cancellationToken)
    {
        switch (ExtensionOf(path))
        {
            case ".npy":
                NpyFile.Write(path, ElementType.F32, tensor.Shape.AsSpan(), write);
                break;
            case ".safetensors":
                var safetensors = new SafetensorsWriter { Metadata = new Dictionary<string, string>() };
                safetensors.Add(tensor.Name, ElementType.F32, tensor.Shape.AsSpan(), write);
                safetensors.Write(path, progress: null, cancellationToken);
                break;
            default:
                var gguf = new GgufWriter();
                gguf.Metadata.SetFileType(QuantCodec.Get(QuantFormat.F32));
                gguf.Add(tensor.Name, [.. tensor.Shape.Reverse()], GgmlType.Of(QuantCodec.Get(QuantFormat.F32)), write);
                gguf.Write(path, progress: null, cancellationToken);
                break;
        }
    }
}
