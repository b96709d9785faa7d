using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Models;
using KQuant.Models.Export;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant verify</c>: whether a model is sound, and how far it is from the one it was made from.</summary>
internal static class VerifyCommand
{
    private const int ShownTensors = 10;

    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("The model to check: a checkpoint folder, or a GGUF file.");
        var against = new Option<string>("--against") { Description = "The float model to compare it with; for a GGUF file also the checkpoint folder.", HelpName = "path" };
        Option<KeyValuePair<QuantCodec?, double>[]> limits = MaxNmse();
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("verify", "Check structure and every weight of a model; with --against, its error too.")
        {
            model, against, limits, threads, json,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(limits) is not null && result.GetResult(against) is null)
            {
                result.AddError("--max-nmse needs --against: without another model there is no error to limit.");
            }
        });
        command.SetWork((parsed, cancellationToken) =>
        {
            using ModelSource source = ModelSource.Open(parsed.GetModel(model));
            using ModelSource? reference = parsed.GetValue(against) is string path ? OpenReference(ModelPath.Resolve(path), source) : null;
            var options = new VerificationOptions
            {
                Limits = MakeLimits(parsed.GetValue(limits) ?? []),
                FindProblems = ModelLayout.FindProblems,
                MaxDegreeOfParallelism = parsed.GetThreads(threads),
            };
            bool asJson = parsed.GetValue(json);
            VerificationReport report = ProgressBar.Show(
                parsed.InvocationConfiguration.Error,
                asJson,
                progress => ModelVerifier.Verify(source, reference, options, progress, cancellationToken));
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (asJson)
            {
                ReportJson.Write(output, MakeReport(source, reference, options, report), ReportJson.Default.VerifyReport);
            }
            else
            {
                Write(source, reference, options, report, output);
            }

            if (!report.Passed)
            {
                throw new CommandException(report.Problems.Count == 1
                    ? $"{source.Path}: {report.Problems[0]}"
                    : $"{source.Path} has {report.Problems.Count} problems; the first: {report.Problems[0]}");
            }
        });
        return command;
    }

    /// <summary>A checkpoint that a GGUF file was made from is looked at as what it is there; its tokenizer does not matter.</summary>
    internal static ModelSource OpenReference(string path, ModelSource source) => source is GgufModel && Directory.Exists(path)
        ? ModelFormats.Open(path, source.Path, ModelFormat.Gguf, new GgufExportOptions { IncludeTokenizer = false })
        : ModelSource.Open(path);

    private static Option<KeyValuePair<QuantCodec?, double>[]> MaxNmse() => new("--max-nmse")
    {
        Description = "The largest NMSE allowed, for all formats or for one ('q4_k=0.01'); may be given several times.",
        HelpName = "[codec=]value",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            var values = new List<KeyValuePair<QuantCodec?, double>>();
            foreach (Token token in result.Tokens)
            {
                string[] parts = token.Value.Split('=');
                QuantCodec? codec = null;
                if (parts.Length > 2 || (parts.Length == 2 && !QuantCodec.TryParse(parts[0], out codec))
                    || !double.TryParse(parts[^1], NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || !(value >= 0))
                {
                    result.AddError($"--max-nmse is a number that is not negative, or CODEC=NUMBER, not '{token.Value}'.");
                    return null;
                }

                values.Add(KeyValuePair.Create(codec, value));
            }

            return [.. values];
        },
    };

    private static ErrorLimits MakeLimits(KeyValuePair<QuantCodec?, double>[] given)
    {
        var limits = new ErrorLimits();
        foreach ((QuantCodec? codec, double value) in given)
        {
            foreach (QuantCodec each in codec is null ? CommonOptions.AllCodecs : [codec])
            {
                limits[each] = value;
            }
        }

        return limits;
    }

    private static VerifyReport MakeReport(
        ModelSource source, ModelSource? reference, VerificationOptions options, VerificationReport report) => new(
        source.Path,
        reference?.Path,
        report.Passed,
        report.Problems,
        [.. Formats(report, options)],
        [
            .. report.Tensors.Select(tensor => new VerifiedTensorReport(
                tensor.Source.Name, tensor.Source.FormatName, tensor.Source.Shape, tensor.IsChecked, tensor.NonFiniteCount,
                ErrorReport.Of(tensor.Error), tensor.ExceedsLimit)),
        ]);

    private static IEnumerable<FormatErrorReport> Formats(VerificationReport report, VerificationOptions options) =>
        from tensor in report.Tensors
        group tensor by tensor.Source.FormatName into format
        let error = format.Aggregate(
            (WeightError?)null, (sum, tensor) => tensor.Error is WeightError error ? (sum ?? default) + error : sum)
        let limit = format.First().Source.Codec is QuantCodec codec ? options.Limits[codec] : double.PositiveInfinity
        orderby format.Sum(tensor => tensor.Source.ByteCount) descending
        select new FormatErrorReport(format.Key, format.Count(), double.IsFinite(limit) ? limit : null, ErrorReport.Of(error));

    private static void Write(
        ModelSource source, ModelSource? reference, VerificationOptions options, VerificationReport report, TextWriter output)
    {
        int unchecked_ = report.Tensors.Count(tensor => !tensor.IsChecked);
        output.WriteLine(
            $"{source.Path}: {report.Tensors.Count} tensors, {report.Tensors.Count(tensor => tensor.Source.Codec is { IsQuantized: true })} "
            + $"of them quantized{(unchecked_ > 0 ? $", {unchecked_} not checked because nothing here decodes them" : "")}");
        if (reference is not null)
        {
            output.WriteLine();
            WriteFormats(report, options, output);
            output.WriteLine();
            WriteWorst(report, output);
            output.WriteLine();
        }

        foreach (string problem in report.Problems)
        {
            output.WriteLine(PlainText.OneLine(problem));
        }

        if (report.Passed)
        {
            output.WriteLine(reference is null ? "No problems found." : $"No problems found; compared with {reference.Path}.");
        }
    }

    private static void WriteFormats(VerificationReport report, VerificationOptions options, TextWriter output)
    {
        var table = new TextTable("format", "tensors", "RMSE", "NMSE", "NMSE allowed", "cosine", "max error");
        foreach (FormatErrorReport format in Formats(report, options))
        {
            table.Add(
                format.Format, format.Tensors.ToString(CultureInfo.InvariantCulture), Amounts.Small(format.Error?.Rmse),
                Amounts.Small(format.Error?.Nmse), Amounts.Small(format.MaxNmse), Amounts.Cosine(format.Error?.Cosine),
                Amounts.Small(format.Error?.MaxAbs));
        }

        table.Write(output);
    }

    private static void WriteWorst(VerificationReport report, TextWriter output)
    {
        VerifiedTensor[] worst =
        [
            .. report.Tensors.Where(tensor => tensor.Error is not null)
                .OrderByDescending(tensor => double.IsNaN(tensor.Error!.Value.Nmse) ? double.PositiveInfinity : tensor.Error!.Value.Nmse)
                .Take(ShownTensors),
        ];
        output.WriteLine($"The {worst.Length} tensors with the largest errors:");
        var table = new TextTable("tensor", "format", "RMSE", "NMSE", "cosine", "max error", "") { TextColumns = 2 };
        foreach (VerifiedTensor tensor in worst)
        {
            WeightError error = tensor.Error!.Value;
            table.Add(
                tensor.Source.Name, tensor.Source.FormatName, Amounts.Small(error.Rmse), Amounts.Small(error.Nmse),
                Amounts.Cosine(error.Cosine), Amounts.Small(error.MaxAbsolute), tensor.ExceedsLimit ? "too large" : "");
        }

        table.Write(output);
    }
}
