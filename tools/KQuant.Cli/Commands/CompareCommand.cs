using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Models.Evaluation;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant compare</c>: what several quantizations of a model cost it, beside their bytes.</summary>
internal static class CompareCommand
{
    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var models = new Option<string[]>("--models")
        {
            Description = "The models to compare: checkpoint folders or GGUF files.",
            HelpName = "path",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true,
            Required = true,
        };
        var against = new Option<string>("--against") { Description = "The float model that they are measured by.", HelpName = "path", Required = true };
        var file = new Option<string>("--file") { Description = "The text, UTF-8.", HelpName = "file", Required = true };
        Option<int> ctx = CommonOptions.Number("--ctx", "Tokens of a window.", 256, 1, int.MaxValue);
        Option<int> chunks = CommonOptions.Number("--chunks", "Windows to measure; 0 for all.", 0, 0, int.MaxValue);
        var svg = new Option<string>("--svg") { Description = "Draw bits per weight against divergence into this file.", HelpName = "file" };
        var html = new Option<string>("--html") { Description = "Write table and picture as a page that needs nothing else.", HelpName = "file" };
        Option<bool> plain = CommonOptions.NoSpecialTokens();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("compare", "Compare quantizations of a model: perplexity, divergence and bytes.")
        {
            models, against, file, ctx, chunks, svg, html, plain, json,
        };
        arguments.AddTo(command, withModel: false);
        command.SetWork((parsed, cancellationToken) =>
        {
            string text = Utf8Reader.ReadFile(parsed.GetValue(file)!);
            string[] paths = [.. parsed.GetValue(models)!.Select(ModelPath.Resolve)];
            string[] inputs = [parsed.GetValue(file)!, ModelPath.Resolve(parsed.GetValue(against)!), .. paths];
            PageFile.Check(parsed.GetValue(svg), inputs);
            PageFile.Check(parsed.GetValue(html), inputs);
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel reference = arguments.LoadAt(parsed, inputs[1], device, cancellationToken);
            bool addsSpecial = !parsed.GetValue(plain);
            int[] tokens = reference.Tokenizer.Encode(text, addsSpecial, parseSpecialTokens: false);
            var options = new PerplexityOptions
            {
                WindowLength = parsed.GetValue(ctx),
                MaxWindows = parsed.GetValue(chunks),
                FirstToken = addsSpecial && reference.Tokenizer.AddsBos ? reference.Tokenizer.BosId : null,
                Against = reference,
            };
            var rows = new List<ComparedModelReport>();
            foreach (string path in paths)
            {
                Progress.Show("Measuring", show =>
                {
                    show(path);
                    using LanguageModel model = arguments.LoadBeside(reference, parsed, path, cancellationToken);
                    PerplexityResult result = PerplexityMeter.Measure(model, tokens, options, null, cancellationToken);
                    ModelComparison found = result.Comparison!;
                    rows.Add(new ComparedModelReport(
                        path, model.WeightBytes, 8.0 * model.WeightBytes / model.WeightCount, BytesOf(path), result.Perplexity, result.PerplexityError,
                        result.Perplexity / found.Perplexity, found.MeanDivergence, found.Divergence999, found.SameTop));
                });
            }

            var report = new CompareReport(reference.Path, parsed.GetValue(file)!, tokens.Length, rows);
            if (parsed.GetValue(svg) is string picture)
            {
                PageFile.Write(picture, ComparisonPicture.Draw(report));
            }

            if (parsed.GetValue(html) is string page)
            {
                PageFile.Write(page, ComparisonPicture.Page(report));
            }

            if (parsed.GetValue(json))
            {
                ReportJson.Write(parsed.InvocationConfiguration.Output, report, ReportJson.Default.CompareReport);
            }
            else
            {
                Write(report, parsed.InvocationConfiguration.Output);
            }
        });
        return command;
    }

    private static void Write(CompareReport report, TextWriter output)
    {
        var table = new TextTable("model", "bytes", "bits/weight", "perplexity", "ratio", "mean KLD", "99.9 % KLD", "same top");
        foreach (ComparedModelReport model in report.Models)
        {
            table.Add(
                model.Model, model.FileBytes.ToString(CultureInfo.InvariantCulture), Amounts.Bits(model.BitsPerWeight), Invariant($"{model.Perplexity:0.0000}"),
                Invariant($"{model.Ratio:0.00000}"), Invariant($"{model.MeanDivergence:0.000000}"), Invariant($"{model.Divergence999:0.0000}"),
                Invariant($"{100 * model.SameTop:0.00} %"));
        }

        table.Write(output);
        output.WriteLine(PlainText.OneLine($"Against {report.Against}, {report.Tokens} tokens of {report.File}."));
    }

    /// <summary>Bytes of the file, or of a folder's weights.</summary>
    private static long BytesOf(string path) => Directory.Exists(path)
        ? Directory.GetFiles(path, "*.safetensors").Sum(file => new FileInfo(file).Length)
        : new FileInfo(path).Length;
}
