using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Models.Evaluation;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant perplexity</c>: how well a model predicts a text, and how far it is from another.</summary>
internal static class PerplexityCommand
{
    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var file = new Option<string>("--file") { Description = "The text, UTF-8.", HelpName = "file", Required = true };
        Option<int> ctx = CommonOptions.Number("--ctx", "Tokens of a window.", 256, 1, int.MaxValue);
        Option<int> stride = CommonOptions.Number("--stride", "Tokens from one window to the next; 0 for --ctx.", 0, 0, int.MaxValue);
        Option<int> chunks = CommonOptions.Number("--chunks", "Windows to measure; 0 for all.", 0, 0, int.MaxValue);
        var against = new Option<string>("--against")
        {
            Description = "A model to compare with, usually the same in floats, keys and values always in f32: adds the divergence from its distributions.",
            HelpName = "path",
        };
        Option<bool> plain = CommonOptions.NoSpecialTokens();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("perplexity", "Measure how well a model predicts a text.") { file, ctx, stride, chunks, against, plain, json };
        arguments.AddTo(command);
        command.SetWork((parsed, cancellationToken) =>
        {
            string text = Utf8Reader.ReadFile(parsed.GetValue(file)!);
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken);
            using LanguageModel? reference = parsed.GetValue(against) is string other
                ? arguments.LoadReference(model, parsed, ModelPath.Resolve(other), cancellationToken)
                : null;
            bool addsSpecial = !parsed.GetValue(plain);
            int[] tokens = model.Tokenizer.Encode(text, addsSpecial, parseSpecialTokens: false);
            var options = new PerplexityOptions
            {
                WindowLength = parsed.GetValue(ctx),
                Stride = parsed.GetValue(stride),
                MaxWindows = parsed.GetValue(chunks),
                FirstToken = addsSpecial && model.Tokenizer.AddsBos ? model.Tokenizer.BosId : null,
                Against = reference,
            };
            PerplexityResult? result = null;
            Progress.Show("Measuring", show => result = PerplexityMeter.Measure(model, tokens, options, new Reporter(show), cancellationToken));
            Write(parsed, model, reference, tokens.Length, result!, parsed.GetValue(json));
        });
        return command;
    }

    private static void Write(
        ParseResult parsed, LanguageModel model, LanguageModel? reference, int tokens, PerplexityResult result, bool json)
    {
        TextWriter output = parsed.InvocationConfiguration.Output;
        if (json)
        {
            var report = new PerplexityReport(
                model.Path,
                tokens,
                result.Windows,
                result.Tokens,
                result.MeanLoss,
                result.Perplexity,
                result.PerplexityError,
                reference?.Path,
                result.Comparison is { } found
                    ? new ComparisonReport(
                        found.Perplexity, found.MeanDivergence, found.Divergence999, found.MaxDivergence, found.SameTop, found.ProbabilityRmse)
                    : null);
            ReportJson.Write(output, report, ReportJson.Default.PerplexityReport);
            return;
        }

        output.WriteLine(Invariant(
            $"Perplexity {result.Perplexity:0.0000} ± {result.PerplexityError:0.0000} over {result.Tokens} tokens in {result.Windows} windows, mean loss {result.MeanLoss:0.000000}."));
        if (result.Comparison is { } comparison)
        {
            output.WriteLine(Invariant(
                $"{reference!.Path}: perplexity {comparison.Perplexity:0.0000}, ratio {result.Perplexity / comparison.Perplexity:0.00000}."));
            output.WriteLine(Invariant(
                $"Divergence from it: mean {comparison.MeanDivergence:0.000000}, 99.9 % {comparison.Divergence999:0.0000}, largest {comparison.MaxDivergence:0.0000}."));
            output.WriteLine(Invariant(
                $"Same most likely token: {100 * comparison.SameTop:0.00} %; probability of the next token: RMS difference {100 * comparison.ProbabilityRmse:0.000} %."));
        }
    }

    private sealed class Reporter(Action<string> show) : IProgress<PerplexityProgress>
    {
        public void Report(PerplexityProgress value) =>
            show(Invariant($"window {value.Windows} of {value.TotalWindows}, perplexity {value.Perplexity:0.0000}"));
    }
}
