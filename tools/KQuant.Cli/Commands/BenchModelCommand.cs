using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Matmul;
using KQuant.Metal;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench model</c>: the first token, and tokens per second.</summary>
internal static class BenchModelCommand
{
    private const string FirstToken = "--first-token", NoTokenizer = "--no-tokenizer";

    internal static Command Create()
    {
        Option<string> path = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
        Option<int[]> prompts = CommonOptions.Numbers("--prompt-tokens", "Tokens of a prompt; may be given several times.", [512], 1, 1 << 20);
        Option<int[]> depths = CommonOptions.Numbers(
            "--depth", "Tokens of a text that tokens follow one by one; may be given several times; those of the prompts if not given.", [], 0, 1 << 20);
        depths.DefaultValueFactory = null;
        Option<int> tokens = CommonOptions.Number("--tokens", "Tokens that follow one by one.", 64, 1, 1 << 20);
        Option<int[]> threads = CommonOptions.Numbers(
            "--threads", "Threads; may be given several times.", [.. new[] { 1, Environment.ProcessorCount }.Distinct()], 1, 1024);
        Option<ActivationPrecision> activations = CommonOptions.Activations();
        var cache = new CacheArguments();
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 5, 1, 10_000);
        Option<ComputeDevice> device = ModelArguments.DeviceOption();
        Option<bool> json = CommonOptions.Json();
        Option<bool> noFirstToken = new("--no-first-token") { Description = "Start no other processes, which the first token is measured in." };
        Option<bool> firstToken = new(FirstToken) { Description = "Only read a prompt and say when its first token is there.", Hidden = true };
        Option<bool> noTokenizer = new(NoTokenizer) { Description = $"With {FirstToken}: load no tokenizer.", Hidden = true };
        var command = new Command("model", "Measure a model: its first token, tokens of prompts per second, and tokens that follow texts one by one.")
        {
            path, prompts, depths, tokens, threads, activations, device, rounds, noFirstToken, json, firstToken, noTokenizer,
        };
        Array.ForEach(cache.Options, command.Options.Add);

        command.SetWork((parsed, cancellationToken) =>
        {
            using MetalBackend? backend = ModelArguments.Open(parsed.GetValue(device));
            string model = parsed.GetModel(path);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(firstToken))
            {
                bool hasTokenizer = !parsed.GetValue(noTokenizer);
                FirstTokenProcess.Run(model, Describe(parsed.GetValue(threads)![0], hasTokenizer), output, cancellationToken);
                return;
            }

            ModelSpeedReport report = null!;
            var benchmarks = new List<ModelBenchmark>();
            int[] lengths = parsed.GetValue(prompts)!;
            int[] texts = parsed.GetValue(depths) is { Length: > 0 } given ? given : lengths;
            try
            {
                foreach (int count in parsed.GetValue(threads)!)
                {
                    benchmarks.Add(new ModelBenchmark(
                        model, Describe(count, hasTokenizer: false), lengths, texts, parsed.GetValue(tokens), backend, cancellationToken));
                }

                var first = new List<FirstTokenTime?>();
                Contender[] contenders = [.. benchmarks.SelectMany(benchmark => benchmark.Contenders)];
                Progress.Show("Measuring", progress =>
                {
                    string[] more = FirstTokenProcess.HasTokenizer(model) ? [] : [NoTokenizer];
                    foreach (ModelBenchmark benchmark in benchmarks)
                    {
                        if (parsed.GetValue(noFirstToken))
                        {
                            first.Add(null);
                            continue;
                        }

                        int count = benchmark.Model.Context.Threads;
                        progress($"{count} threads, first token");
                        first.Add(FirstTokenProcess.Measure(
                            ["bench", "model", "--model", model, FirstToken, "--threads", count.ToString(CultureInfo.InvariantCulture),
                                .. Repeat(parsed, [activations, device, .. cache.Options]), .. more],
                            parsed.GetValue(rounds),
                            cancellationToken));
                    }

                    Contest.WarmUp(contenders, progress, cancellationToken);
                    Contest.Run(contenders, parsed.GetValue(rounds), TimeSpan.FromMilliseconds(10), progress, cancellationToken);
                });
                LanguageModel loaded = benchmarks[0].Model;
                report = new ModelSpeedReport(
                    MachineName.Processor,
                    MachineName.Runtime,
                    loaded.Path,
                    loaded.MainCodec.Name,
                    loaded.WeightCount,
                    loaded.WeightBytes,
                    parsed.GetValue(tokens),
                    [.. benchmarks.Zip(first, (benchmark, time) => benchmark.GetSpeed(time))]);
            }
            finally
            {
                benchmarks.ForEach(benchmark => benchmark.Dispose());
            }

            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.ModelSpeedReport);
            }
            else
            {
                Write(report, output);
            }

            ModelOptions Describe(int count, bool hasTokenizer) => new()
            {
                LoadTokenizer = hasTokenizer,
                Matmul = new MatmulOptions { MaxDegreeOfParallelism = count, Activations = parsed.GetValue(activations) },
                Cache = cache.Get(parsed),
                Backend = backend,
            };
        });
        return command;
    }

    /// <summary>Options as they were given.</summary>
    private static IEnumerable<string> Repeat(ParseResult parsed, params Option[] options) =>
        options.SelectMany(option => (parsed.GetResult(option)?.Tokens ?? []).SelectMany(token => new[] { option.Name, token.Value }));

    private static void Write(ModelSpeedReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}");
        output.WriteLine(Contest.Promise);
        output.WriteLine();
        output.WriteLine(
            $"{PlainText.OneLine(report.Model)}: {Text(report.Weights / 1e6)} M weights, mostly {report.Format}, {Text(report.WeightBytes / 1e6)} MB.");
        output.WriteLine();
        var first = new TextTable("kernels", "threads", "started", "loaded", "first token") { TextColumns = 1 };
        var prompts = new TextTable("kernels", "threads", "prompt", "tok/s", "attention") { TextColumns = 1 };
        var depths = new TextTable("kernels", "threads", "depth", "tok/s", "attention", "GB/s") { TextColumns = 1 };
        foreach (ModelSpeed speed in report.Speeds)
        {
            string threads = Text(speed.Threads);
            if (speed.FirstToken is FirstTokenTime time)
            {
                first.Add(speed.Kernels, threads, Seconds(time.StartedSeconds), Seconds(time.LoadedSeconds), Seconds(time.Seconds));
            }

            foreach (PromptSpeed prompt in speed.Prompts)
            {
                prompts.Add(speed.Kernels, threads, Text(prompt.Tokens), Text(prompt.TokensPerSecond), Share(prompt.AttentionShare));
            }

            foreach (DepthSpeed depth in speed.Depths)
            {
                depths.Add(
                    speed.Kernels, threads, Text(depth.Depth), Text(depth.TokensPerSecond), Share(depth.AttentionShare),
                    Text(depth.TokensPerSecond * report.WeightBytes / 1e9));
            }
        }

        if (report.Speeds[0].FirstToken is FirstTokenTime any)
        {
            output.WriteLine($"The first token after a prompt of {any.PromptTokens}, in a fresh process, compilation included: seconds since it was started.");
            first.Write(output);
            output.WriteLine();
        }

        output.WriteLine("Prompts into an empty cache, and the share of attention in the time.");
        prompts.Write(output);
        output.WriteLine();
        output.WriteLine($"{report.Tokens} tokens one by one after a text, by its length; weights that are read.");
        depths.Write(output);
        foreach (ModelSpeed speed in report.Speeds)
        {
            if (speed.Device is { } work)
            {
                output.WriteLine($"Of {speed.Kernels}, for each token: {Text(work.Waits)} waits, {Text(work.Dispatches)} dispatches, {Text(work.Buffers)} buffers made.");
                break;
            }
        }
    }

    private static string Share(double? share) => share is { } value ? $"{Text(100 * value)} %" : "-";

    private static string Seconds(double value) => value.ToString("F3", CultureInfo.InvariantCulture);

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Text(double value) => value.ToString("F1", CultureInfo.InvariantCulture);
}
