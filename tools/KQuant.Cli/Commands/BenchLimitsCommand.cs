using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Benchmarks.Limits;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench limits</c>: what no product on this machine can exceed.</summary>
internal static class BenchLimitsCommand
{
    internal static Command Create()
    {
        Option<int[]> threads = CommonOptions.Numbers(
            "--threads", "Threads; may be given several times.", [.. new[] { 1, Environment.ProcessorCount }.Distinct()], 1, 1024);
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 10, 1, 10_000);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("limits", "Measure how fast this machine reads memory and how fast its instructions multiply at best.")
        {
            threads, rounds, json,
        };

        command.SetWork((parsed, cancellationToken) =>
        {
            LimitsReport report = null!;
            Progress.Show("Measuring", progress => report = Measure(parsed.GetValue(threads)!, parsed.GetValue(rounds), progress, cancellationToken));
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.LimitsReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static unsafe LimitsReport Measure(int[] threads, int rounds, Action<string> progress, CancellationToken cancellationToken)
    {
        const int MemoryBytes = 256 << 20;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(MemoryBytes, 64);
        try
        {
            new Span<byte>(memory, MemoryBytes).Fill(1);
            InstructionChain[] chains = [.. InstructionChain.All.Where(chain => chain.IsSupported)];
            using var limits = new LimitBenchmark(memory, MemoryBytes, chains, threads);
            Contest.Run([.. limits.Contenders], rounds, TimeSpan.FromMilliseconds(10), progress, cancellationToken);
            return new LimitsReport(
                MachineName.Processor,
                MachineName.Runtime,
                [.. threads.Select(count => new MemoryLimit(count, Math.Round(limits.MemoryGBps(count), 2)))],
                [
                    .. from chain in chains
                       from count in threads
                       select new ChainLimit(chain.Tier.ToString(), chain.Name, count, Math.Round(limits.Gops(chain, count), 2)),
                ]);
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static void Write(LimitsReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}");
        output.WriteLine(Contest.Promise);
        output.WriteLine();
        output.WriteLine("GB/s read from memory, and billions of operations per second (two per product) on operands in cache.");
        int[] threads = [.. report.Memory.Select(limit => limit.Threads)];
        var table = new TextTable(["tier", "limit", .. threads.Select(count => count == 1 ? "1 thread" : $"{count} threads")]) { TextColumns = 2 };
        table.Add(["", "memory", .. report.Memory.Select(limit => Text(limit.ReadGBps))]);
        foreach (ChainLimit[] chain in report.Chains.Chunk(threads.Length))
        {
            table.Add([chain[0].Tier, chain[0].Chain, .. chain.Select(limit => Text(limit.Gops))]);
        }

        table.Write(output);
    }

    private static string Text(double value) => value.ToString("F1", CultureInfo.InvariantCulture);
}
