using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Matmul;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench matmul</c>: the speed of products, beside the machine's limits.</summary>
internal static class BenchMatmulCommand
{
    private static readonly int[] StandardBatches = [1, 2, 4, 8, 16, 32, 128, 512];

    internal static Command Create()
    {
        Option<QuantCodec[]> codecs = CommonOptions.Codecs("The codec of the weights; may be given several times. q4_k if none is given.");
        Option<int[]> batches = CommonOptions.Numbers("--m", "Activation rows; may be given several times.", StandardBatches, 1, 65_536);
        Option<int> rows = CommonOptions.Number("--n", "Rows of the weights.", 4096, 1, 1 << 20);
        Option<int> columns = CommonOptions.Number("--k", "Columns of the weights.", 4096, 1, 1 << 20);
        Option<int[]> threads = CommonOptions.Numbers(
            "--threads", "Threads; may be given several times.", [.. new[] { 1, Environment.ProcessorCount }.Distinct()], 1, 1024);
        Option<KernelTier[]> tier = CommonOptions.Tiers("The best tier that may be used.");
        Option<ActivationPrecision> activations = CommonOptions.Activations();
        var deterministic = new Option<bool>("--deterministic") { Description = "The same bits on every tier, for any number of rows and threads." };
        var prepacked = new Option<bool>("--prepacked") { Description = "Arrange the weights once in advance." };
        Option<int> rotated = CommonOptions.Number(
            "--rotate", "MB of weights that take turns, so that each product finds its own in memory; 0 keeps them in cache.", 256, 0, 1 << 20);
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 10, 1, 10_000);
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "matmul", "Measure products with weights that no cache holds, in GFLOP/s, activation quantization included, beside the machine's limits.")
        {
            codecs, batches, rows, columns, threads, tier, activations, deterministic, prepacked, rotated, rounds, json,
        };

        command.SetWork((parsed, cancellationToken) =>
        {
            QuantCodec[] measured = parsed.GetValue(codecs) is { Length: > 0 } asked ? asked : [QuantCodec.Get(QuantFormat.Q4_K)];
            var options = new MatmulOptions
            {
                MaxTier = parsed.GetValue(tier) is [var maxTier, ..] ? maxTier : KernelTiers.Max,
                Activations = parsed.GetValue(activations),
                Deterministic = parsed.GetValue(deterministic),
            };
            (int n, int k) = (parsed.GetValue(rows), parsed.GetValue(columns));
            var benchmark = new MatmulBenchmark(n, k, parsed.GetValue(prepacked), (long)parsed.GetValue(rotated) << 20, options);
            var speeds = new List<MatmulSpeed>();
            Progress.Show("Measuring", progress =>
            {
                foreach (QuantCodec codec in measured)
                {
                    speeds.AddRange(benchmark.Measure(
                        codec, parsed.GetValue(batches)!, parsed.GetValue(threads)!, parsed.GetValue(rounds), progress, cancellationToken));
                }
            });
            var report = new MatmulReport(
                MachineName.Processor,
                MachineName.Runtime,
                n,
                k,
                parsed.GetValue(prepacked),
                options.Deterministic,
                options.Activations.ToString(),
                speeds);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.MatmulReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static void Write(MatmulReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}");
        output.WriteLine(Contest.Promise);
        output.WriteLine();
        output.WriteLine(
            $"y[M, {report.N}] = x[M, {report.K}] W^T{(report.Packed ? ", packed" : "")}{(report.Deterministic ? ", deterministic" : "")}. "
            + "Limits: reading memory, and the best chain of instructions.");
        var table = new TextTable("codec", "kernel", "threads", "M", "us", "GFLOP/s", "of chain", "GB/s", "of memory") { TextColumns = 2 };
        foreach (MatmulSpeed speed in report.Speeds)
        {
            table.Add(
                speed.Codec,
                speed.Kernel,
                Text(speed.Threads, "F0"),
                Text(speed.M, "F0"),
                Text(speed.Microseconds, "F0"),
                Text(speed.Gflops, "F1"),
                speed.OfChain is { } share ? Percent(share) : "-",
                Text(speed.WeightGBps, "F1"),
                Percent(speed.OfMemory));
        }

        table.Write(output);
        output.WriteLine();
        var limits = new TextTable("limit", "threads", "");
        foreach (MatmulSpeed speed in report.Speeds.DistinctBy(speed => (speed.Codec, speed.Threads)))
        {
            limits.Add($"{speed.Codec} memory", Text(speed.Threads, "F0"), Text(speed.MemoryGBps, "F1") + " GB/s");
        }

        foreach (MatmulSpeed speed in report.Speeds.Where(speed => speed.Chain is not null).DistinctBy(speed => (speed.Codec, speed.Chain, speed.Threads)))
        {
            limits.Add($"{speed.Codec} {speed.Chain}", Text(speed.Threads, "F0"), Text(speed.ChainGops!.Value, "F1") + " GOP/s");
        }

        limits.Write(output);
    }

    private static string Percent(double share) => Text(100 * share, "F0") + " %";

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
