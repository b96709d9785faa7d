using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench gather</c>: the speed of a mixture of experts.</summary>
internal static class BenchGatherCommand
{
    private const int StandardExperts = 64;
    private const int StandardTop = 8;

    private static readonly int[] StandardTokens = [1, 32, 256];

    internal static Command Create()
    {
        Option<QuantCodec[]> codecs = CommonOptions.Codecs("The codec of the weights; may be given several times. q4_k if none is given.");
        Option<int[]> tokens = CommonOptions.Numbers("--tokens", "Tokens in a call; may be given several times.", StandardTokens, 1, 65_536);
        Option<int[]> threads = CommonOptions.Numbers(
            "--threads", "Threads; may be given several times.", [.. new[] { 1, Environment.ProcessorCount }.Distinct()], 1, 1024);
        Option<int> experts = CommonOptions.Number("--experts", "Experts.", StandardExperts, 1, 65_536);
        Option<int> rows = CommonOptions.Number("--rows", "Outputs of an expert.", 1024, 1, 1 << 20);
        Option<int> columns = CommonOptions.Number("--columns", "Inputs of an expert.", 2048, 1, 1 << 20);
        Option<int> top = CommonOptions.Number("--top", "Experts that each token goes through.", StandardTop, 1, 65_536);
        Option<KernelTier[]> tier = CommonOptions.Tiers("The best tier that may be used.");
        var prepacked = new Option<bool>("--prepacked") { Description = "Arrange the weights once in advance." };
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 10, 1, 10_000);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("gather", "Measure products with the experts that tokens choose, in GFLOP/s, activation quantization included.")
        {
            codecs, tokens, threads, experts, rows, columns, top, tier, prepacked, rounds, json,
        };
        command.Validators.Add(result =>
        {
            int chosen = CommonOptions.ValueOf(result.GetResult(top)) ?? StandardTop;
            int there = CommonOptions.ValueOf(result.GetResult(experts)) ?? StandardExperts;
            if (there > 0 && chosen > there)
            {
                result.AddError($"--top is {chosen}; there are {there} experts.");
            }
        });

        command.SetWork((parsed, cancellationToken) =>
        {
            QuantCodec[] measured = parsed.GetValue(codecs) is { Length: > 0 } asked ? asked : [QuantCodec.Get(QuantFormat.Q4_K)];
            var benchmark = new GatherBenchmark(
                parsed.GetValue(experts), parsed.GetValue(rows), parsed.GetValue(columns), parsed.GetValue(top), parsed.GetValue(prepacked));
            var speeds = new List<GatherSpeed>();
            Progress.Show("Measuring", progress =>
            {
                foreach (QuantCodec codec in measured)
                {
                    speeds.AddRange(benchmark.Measure(
                        codec,
                        parsed.GetValue(tokens)!,
                        parsed.GetValue(threads)!,
                        parsed.GetValue(tier) is [var maxTier, ..] ? maxTier : KernelTiers.Max,
                        parsed.GetValue(rounds),
                        progress,
                        cancellationToken));
                }
            });
            var report = new GatherReport(
                MachineName.Processor,
                MachineName.Runtime,
                parsed.GetValue(experts),
                parsed.GetValue(rows),
                parsed.GetValue(columns),
                parsed.GetValue(top),
                parsed.GetValue(prepacked),
                speeds);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.GatherReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static void Write(GatherReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}");
        output.WriteLine(Contest.Promise);
        output.WriteLine();
        output.WriteLine(
            $"{report.Experts} experts of [{report.Rows}, {report.Columns}], {report.Top} per token{(report.Packed ? ", packed" : "")}. "
            + "Dense: the same products, one call per expert.");
        var table = new TextTable("codec", "kernel", "threads", "tokens", "us", "GFLOP/s", "GB/s", "dense", "of dense") { TextColumns = 2 };
        foreach (GatherSpeed speed in report.Speeds)
        {
            table.Add(
                speed.Codec,
                speed.Kernel,
                Text(speed.Threads, "F0"),
                Text(speed.Tokens, "F0"),
                Text(speed.Microseconds, "F0"),
                Text(speed.Gflops, "F1"),
                Text(speed.ExpertGBps, "F1"),
                Text(speed.DenseGflops, "F1"),
                Text(100 * speed.Gflops / speed.DenseGflops, "F0") + " %");
        }

        table.Write(output);
    }

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
