using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant inspect</c>: what is in a model, without reading its weights.</summary>
internal static class InspectCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A checkpoint folder, or a .gguf, .safetensors or .npy file.");
        var against = new Option<string>("--against")
        {
            Description = "Another model, the float one: show how far each tensor is from it. Reads the weights of both.",
            HelpName = "path",
        };
        var html = new Option<string>("--html") { Description = "Write a page with a map of bits, and of errors, that needs nothing else.", HelpName = "file" };
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("inspect", "Show architecture, formats, metadata and tensors of a model.") { model, against, html, threads, json };
        command.SetWork((parsed, cancellationToken) =>
        {
            using ModelSource source = ModelSource.Open(parsed.GetModel(model));
            PageFile.Check(parsed.GetValue(html), source.Path);
            InspectReport report = ModelInspection.Inspect(source);
            IReadOnlyList<string> problems = [];
            string? other = parsed.GetValue(against) is string path ? ModelPath.Resolve(path) : null;
            if (other is not null)
            {
                using ModelSource reference = VerifyCommand.OpenReference(other, source);
                var options = new VerificationOptions { MaxDegreeOfParallelism = parsed.GetThreads(threads) };
                VerificationReport found = ProgressBar.Show(
                    parsed.InvocationConfiguration.Error,
                    parsed.GetValue(json),
                    progress => ModelVerifier.Verify(source, reference, options, progress, cancellationToken));
                problems = found.Problems;
                report = report with { Tensors = [.. report.Tensors.Zip(found.Tensors, (tensor, check) => tensor with { Error = ErrorReport.Of(check.Error) })] };
            }

            if (parsed.GetValue(html) is string page)
            {
                PageFile.Write(page, InspectPage.Make(report, other, problems));
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.InspectReport);
            }
            else
            {
                Write(report, source, other is not null, output);
                foreach (string problem in problems)
                {
                    output.WriteLine(PlainText.OneLine(problem));
                }
            }
        });
        return command;
    }

    private static void Write(InspectReport report, ModelSource source, bool withErrors, TextWriter output)
    {
        string quantization = report.Quantization is null ? "" : $", quantized with mode '{report.Quantization}'";
        output.WriteLine(PlainText.OneLine(
            $"{report.Model}: {report.Kind}, {report.ModelType ?? "unknown architecture"}, {report.NumHiddenLayers} layers{quantization}"));
        output.WriteLine(
            $"{report.NumTensors} tensors, {report.NumQuantized} of them quantized, {Amounts.Count(report.Parameters)} weights, "
            + $"{Amounts.Bytes(report.TensorBytes)}, {Amounts.Bits(report.BitsPerWeight)} bits per weight");
        foreach (IGrouping<string, DroppedTensor> dropped in (source as ModelFolder)?.Dropped.GroupBy(tensor => tensor.Reason) ?? [])
        {
            output.WriteLine($"{dropped.Count()} stored tensors are not listed, {dropped.Key}");
        }

        if (report.ArchitectureProblem is string problem)
        {
            output.WriteLine(PlainText.OneLine($"it cannot be run: {problem}"));
        }

        if (report.Architecture is ArchitectureReport architecture)
        {
            output.WriteLine();
            ArchitectureInspection.Write(architecture, output);
        }

        output.WriteLine();
        var formats = new TextTable("format", "tensors", "weights", "bytes", "bits/weight");
        foreach (FormatReport format in report.Formats)
        {
            formats.Add(
                format.Format, format.Tensors.ToString(CultureInfo.InvariantCulture), Amounts.Count(format.Weights),
                Amounts.Bytes(format.Bytes), Amounts.Bits(format.BitsPerWeight));
        }

        formats.Write(output);
        if (report.Metadata.Count > 0)
        {
            output.WriteLine();
            var metadata = new TextTable("key", "value") { TextColumns = 2 };
            foreach ((string key, string value) in ModelInspection.DescribeMetadata(source))
            {
                metadata.Add(key, value);
            }

            metadata.Write(output);
        }

        output.WriteLine();
        var tensors = new TextTable([.. (string[])["tensor", "kind", "format", "shape", "bytes"], .. withErrors ? (string[])["NMSE"] : []]) { TextColumns = 4 };
        foreach (InspectedTensor tensor in report.Tensors)
        {
            tensors.Add([
                tensor.Name, tensor.Kind, tensor.Codec, Amounts.Shape(tensor.LogicalShape),
                tensor.Bytes is long bytes ? Amounts.Bytes(bytes) : "?",
                .. withErrors ? (string[])[Amounts.Small(tensor.Error?.Nmse)] : []]);
        }

        tensors.Write(output);
    }
}
