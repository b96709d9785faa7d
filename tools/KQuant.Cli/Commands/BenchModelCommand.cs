using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Matmul;
using KQuant.Metal;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench model</c>: tokens per second.</summary>
internal static class BenchModelCommand
{
    internal static Command Create()
    {
        Option<string> path = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        Option<int> promptTokens = CommonOptions.Number("--prompt-tokens", "Tokens of the prompt.", 512, 1, 1 << 20);
        Option<int> tokens = CommonOptions.Number("--tokens", "Tokens that follow the prompt, one by one.", 64, 1, 1 << 20);
        Option<int[]> threads = CommonOptions.Numbers(
            "--threads", "Threads; may be given several times.", [.. new[] { 1, Environment.ProcessorCount }.Distinct()], 1, 1024);
        Option<ActivationPrecision> activations = CommonOptions.Activations();
        Option<CacheFormat> cache = CommonOptions.Cache();
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 5, 1, 10_000);
        Option<ComputeDevice> device = ModelArguments.DeviceOption();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("model", "Measure a model: tokens of a prompt per second, and tokens that follow one by one.")
        {
            path, promptTokens, tokens, threads, activations, cache, device, rounds, json,
        };

        command.SetWork((parsed, cancellationToken) =>
        {
            ModelSpeedReport report = null!;
            var benchmarks = new List<ModelBenchmark>();
            using MetalBackend? backend = ModelArguments.Open(parsed.GetValue(device));
            try
            {
                foreach (int count in parsed.GetValue(threads)!)
                {
                    var options = new ModelOptions
                    {
                        LoadTokenizer = false,
                        Matmul = new MatmulOptions { MaxDegreeOfParallelism = count, Activations = parsed.GetValue(activations) },
                        Cache = parsed.GetCache(cache),
                        Backend = backend,
                    };
                    benchmarks.Add(new ModelBenchmark(
                        parsed.GetModel(path), options, parsed.GetValue(promptTokens), parsed.GetValue(tokens), backend, cancellationToken));
                }

                Contender[] contenders = [.. benchmarks.SelectMany(benchmark => benchmark.Contenders)];
                Progress.Show("Measuring", progress =>
                {
                    Contest.WarmUp(contenders, progress, cancellationToken);
                    Contest.Run(contenders, parsed.GetValue(rounds), TimeSpan.FromMilliseconds(10), progress, cancellationToken);
                });
                LanguageModel model = benchmarks[0].Model;
                report = new ModelSpeedReport(
                    MachineName.Processor,
                    MachineName.Runtime,
                    model.Path,
                    model.MainCodec.Name,
                    model.WeightCount,
                    model.WeightBytes,
                    parsed.GetValue(promptTokens),
                    parsed.GetValue(tokens),
                    [.. benchmarks.Select(benchmark => benchmark.Speed)]);
            }
            finally
            {
                benchmarks.ForEach(benchmark => benchmark.Dispose());
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.ModelSpeedReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static void Write(ModelSpeedReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}");
        output.WriteLine(Contest.Promise);
        output.WriteLine();
        output.WriteLine(
            $"{PlainText.OneLine(report.Model)}: {Text(report.Weights / 1e6)} M weights, mostly {report.Format}, {Text(report.WeightBytes / 1e6)} MB. "
            + $"Tokens per second: a prompt of {report.PromptTokens}, and {report.Tokens} after it.");
        var table = new TextTable("kernels", "threads", "prompt", "tokens", "GB/s") { TextColumns = 1 };
        foreach (ModelSpeed speed in report.Speeds)
        {
            table.Add(
                speed.Kernels,
                speed.Threads.ToString(CultureInfo.InvariantCulture),
                Text(speed.PromptTokensPerSecond),
                Text(speed.TokensPerSecond),
                Text(speed.TokensPerSecond * report.WeightBytes / 1e9));
        }

        table.Write(output);
        foreach (ModelSpeed speed in report.Speeds)
        {
            if (speed.Device is { } work)
            {
                output.WriteLine($"Of {speed.Kernels}, for each token: {Text(work.Waits)} waits, {Text(work.Dispatches)} dispatches, {Text(work.Buffers)} buffers made.");
                break;
            }
        }
    }

    private static string Text(double value) => value.ToString("F1", CultureInfo.InvariantCulture);
}
