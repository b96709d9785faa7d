using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Models.Evaluation;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant kv compare</c>: one prompt, continued with a cache in f16 and with another.</summary>
internal static class KvCompareCommand
{
    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var prompt = new Option<string>("--prompt", "-p") { Description = "What to continue, as it is.", HelpName = "text", Required = true };
        Option<int> maxTokens = CommonOptions.MaxTokens("Tokens to generate at most.", 64);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("compare", "Continue a prompt with keys and values in f16 and as --kv says, and show where the texts part.")
        {
            prompt, maxTokens, json,
        };
        arguments.AddTo(command);
        command.SetWork((parsed, cancellationToken) =>
        {
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken);
            int[] tokens = model.Tokenizer.Encode(parsed.GetValue(prompt)!);
            if (tokens.Length == 0)
            {
                throw new CommandException("--prompt has no tokens.");
            }

            CacheComparison found = CacheErrorMeter.Compare(model, tokens, model.Options.Cache, parsed.GetValue(maxTokens), cancellationToken);
            var report = new KvCompareReport(
                model.Path,
                $"{model.Options.Cache.Keys}, {model.Options.Cache.Values}",
                Decode(model, found.DenseTokens),
                Decode(model, found.OtherTokens),
                found.DenseTokens.Count,
                found.OtherTokens.Count,
                found.CommonTokens,
                found.MeanDivergence,
                found.MaxDivergence,
                found.DenseBytes,
                found.OtherBytes);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.KvCompareReport);
                return;
            }

            output.WriteLine($"f16: {PlainText.OneLine(report.DenseText)}");
            output.WriteLine($"{report.Kinds}: {PlainText.OneLine(report.OtherText)}");
            output.WriteLine();
            output.WriteLine(report.CommonTokens == Math.Max(report.DenseTokens, report.OtherTokens)
                ? $"The texts are the same: {report.CommonTokens} tokens."
                : $"The texts part after {report.CommonTokens} of {report.DenseTokens} tokens.");
            output.WriteLine(Invariant($"Divergence: mean {report.MeanDivergence:0.000000}, largest {report.MaxDivergence:0.0000}."));
            output.WriteLine(Invariant(
                $"Cache: {Amounts.Bytes(report.DenseBytes)} in f16, {Amounts.Bytes(report.OtherBytes)} so, {(double)report.DenseBytes / report.OtherBytes:0.00} times less."));
        });
        return command;
    }

    private static string Decode(LanguageModel model, IReadOnlyList<int> tokens) => model.Tokenizer.Decode([.. tokens]);
}
