using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant tensor encode</c>: one tensor to wire bytes, in a GGUF file.</summary>
internal static class TensorEncodeCommand
{
    internal static Command Create()
    {
        Argument<string> input = TensorFile.Argument("tensor", "The tensor:");
        Option<QuantCodec> codec = CommonOptions.Codec("--codec", "The codec.", CommonOptions.BlockCodecs);
        var imatrix = new Option<string>("--imatrix")
        {
            Description = "Importance: a tensor of one value per column, or of one row per expert; or an importance matrix with an entry "
                + "of the tensor's name.",
            HelpName = "file[:name]",
        };
        Option<EncodeMode> encode = CommonOptions.Encode();
        Option<ScaleOverflow> onOverflow = CommonOptions.OnOverflow();
        var output = new Option<string>("-o", "--output") { Description = "The .gguf file to write; replaced if it exists.", HelpName = "file", Required = true };
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        output.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && ModelFormats.FormatOf(result.Tokens[0].Value) != ModelFormat.Gguf)
            {
                result.AddError($"-o takes a name that ends in .gguf, not '{result.Tokens[0].Value}'.");
            }
        });
        var command = new Command("encode", "Encode a tensor into a GGUF file.") { input, codec, imatrix, encode, onOverflow, output, threads, json };
        command.SetWork((parsed, cancellationToken) =>
        {
            using TensorFile file = TensorFile.Open(parsed.GetValue(input)!);
            ModelTensor tensor = file.Tensor;
            QuantCodec chosen = parsed.GetValue(codec)!;
            QuantShape shape = tensor.GetQuantShape();
            if (tensor.Codec is null)
            {
                throw new CommandException($"{parsed.GetValue(input)} is {tensor.FormatName}, which cannot be decoded here.");
            }

            if (shape.Columns % chosen.WeightsPerBlock != 0)
            {
                throw new CommandException(
                    $"{tensor.Name} has rows of {shape.Columns} weights, which are no whole {chosen.Name} blocks of {chosen.WeightsPerBlock}.");
            }

            float[]? importance = parsed.GetValue(imatrix) is string path ? ReadImportance(path, tensor) : null;
            var options = new ConversionOptions
            {
                Mode = parsed.GetValue(encode),
                Overflow = parsed.GetValue(onOverflow),
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
            };
            string target = parsed.GetValue(output)!;
            WeightError? error = null;
            var writer = new GgufWriter();
            writer.Metadata.SetFileType(chosen);
            writer.Add(
                tensor.Name,
                [.. tensor.Shape.Reverse()],
                GgmlType.Of(chosen),
                stream => error = TensorConverter.Encode(tensor, chosen, stream, importance, options, cancellationToken));
            writer.Write(target, progress: null, cancellationToken);
            var report = new TensorEncodeReport(
                parsed.GetValue(input)!, target, tensor.Name, chosen.Name, tensor.Shape, tensor.ByteCount,
                chosen.GetByteCount(tensor.GetWeightCount()), ErrorReport.Of(error));
            Write(report, parsed.GetValue(json), parsed.InvocationConfiguration.Output);
        });
        return command;
    }

    private static float[] ReadImportance(string reference, ModelTensor tensor)
    {
        (string path, string? name) = TensorFile.Split(reference);
        if (IsMatrix(path))
        {
            using ImportanceMatrix matrix = ImportanceMatrix.Open(path);
            return matrix.TryGet(name ?? tensor.Name, out ImportanceEntry? entry)
                ? entry.GetImportance(tensor.GetQuantShape())
                : throw new CommandException($"{path} has no entry '{name ?? tensor.Name}'; name one as {path}:NAME.");
        }

        using TensorFile file = TensorFile.Open(reference);
        return file.ReadFloats();
    }

    /// <summary>Whether a file is an importance matrix rather than one with tensors.</summary>
    private static bool IsMatrix(string path)
    {
        if (!File.Exists(path) || !GgufFile.HasMagic(path))
        {
            return Path.GetExtension(path).Equals(".dat", StringComparison.OrdinalIgnoreCase);
        }

        using GgufFile file = GgufFile.Open(path);
        return file.Metadata.TryGetValue("general.type", out GgufValue? type) && type.TryGet(out string kind) && kind == "imatrix";
    }

    private static void Write(TensorEncodeReport report, bool json, TextWriter output)
    {
        if (json)
        {
            ReportJson.Write(output, report, ReportJson.Default.TensorEncodeReport);
            return;
        }

        output.WriteLine(
            $"{report.Name} {Amounts.Shape(report.Shape)} {report.Codec}: {Amounts.Bytes(report.SourceBytes)} -> {Amounts.Bytes(report.Bytes)}, "
            + $"RMSE {Amounts.Small(report.Error?.Rmse)}, NMSE {Amounts.Small(report.Error?.Nmse)}, cosine {Amounts.Cosine(report.Error?.Cosine)}, "
            + $"max error {Amounts.Small(report.Error?.MaxAbs)}");
        output.WriteLine($"Wrote {report.Output}.");
    }
}
