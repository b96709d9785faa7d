using System.CommandLine;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Models;
using KQuant.Models.Evaluation;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant kv bench</c>: every kind of cache on random numbers: how near, how small, how fast.</summary>
internal static class KvBenchCommand
{
    private const int Heads = 4;
    private const int QueryHeads = 8;

    internal static Command Create()
    {
        Option<int> headSize = CommonOptions.Number("--head-size", "Values of a head.", 128, 1, 1024);
        Option<int> tokens = CommonOptions.Number("--tokens", "Tokens that are remembered.", 2048, 16, 1 << 20);
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement of speed gets; the best one counts; 0 for none.", 5, 0, 10_000);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("bench", "Store random keys and values in every kind of cache: cosines, errors of products, bytes, and attention per second on one thread.")
        {
            headSize, tokens, rounds, json,
        };
        command.SetWork((parsed, cancellationToken) =>
        {
            int size = parsed.GetValue(headSize), count = parsed.GetValue(tokens);
            CacheFormat[] formats = [.. CacheFormat.All.SelectMany(format => (CacheFormat[])[format, format.WithRotation()]).Distinct()
                .Where(format => size % format.ValuesPerBlock == 0)];
            KvReport report = null!;
            Progress.Show("Measuring", progress => report = Measure(formats, size, count, parsed.GetValue(rounds), progress, cancellationToken));
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.KvReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static KvReport Measure(CacheFormat[] formats, int size, int tokens, int rounds, Action<string> progress, CancellationToken cancellationToken)
    {
        var qualities = new List<CacheQuality>();
        foreach (CacheFormat format in formats)
        {
            cancellationToken.ThrowIfCancellationRequested();
            progress($"{format}, errors");
            qualities.Add(CacheErrorMeter.Measure(format, format, size, Math.Min(tokens, 2048)));
        }

        double[] rates = rounds == 0 ? [] : MeasureSpeed(formats, size, tokens, rounds, progress, cancellationToken);
        return new KvReport(
            MachineName.Processor,
            size,
            tokens,
            [
                .. formats.Select((format, i) => new KvEntry(
                    format.Name,
                    format.GetKeyByteCount(size),
                    format.GetValueByteCount(size),
                    8.0 * format.GetKeyByteCount(size) / size,
                    8.0 * format.GetValueByteCount(size) / size,
                    qualities[i].KeyCosine,
                    qualities[i].ValueCosine,
                    qualities[i].ProductError,
                    qualities[i].ProductBias,
                    qualities[i].OutputCosine,
                    rounds == 0 ? null : Math.Round(rates[i], 1))),
            ]);
    }

    private static double[] MeasureSpeed(CacheFormat[] formats, int size, int tokens, int rounds, Action<string> progress, CancellationToken cancellationToken)
    {
        var random = new Random(1);
        float[] rows = [.. Enumerable.Range(0, Heads * size).Select(_ => random.NextSingle() - 0.5f)], queries = new float[QueryHeads * size];
        float[] outputs = new float[queries.Length];
        var caches = new List<AttentionCache>();
        try
        {
            foreach (CacheFormat format in formats)
            {
                cancellationToken.ThrowIfCancellationRequested();
                AttentionCache cache = new KeyValueCacheBuilder().WithFormat(format).WithHeads(Heads, size).WithCapacity(tokens).Build();
                caches.Add(cache);
                for (int token = 0; token < tokens; token++)
                {
                    rows[token % rows.Length] = random.NextSingle();
                    cache.Append(rows, rows);
                }
            }

            Contender[] contenders = [.. formats.Select((format, i) => new Contender(format.Name, (int repetitions) =>
            {
                for (int repetition = 0; repetition < repetitions; repetition++)
                {
                    caches[i].Attend(queries, outputs);
                }
            }))];
            Contest.WarmUp(contenders, progress, cancellationToken);
            Contest.Run(contenders, rounds, TimeSpan.FromMilliseconds(10), progress, cancellationToken);
            return [.. contenders.Select(contender => 1 / contender.BestSeconds)];
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    private static void Write(KvReport report, TextWriter output)
    {
        output.WriteLine(report.Processor);
        output.WriteLine(
            $"Gaussian keys and values, heads of {report.HeadSize}. Attention: {report.Tokens} tokens, {Heads} key heads, {QueryHeads} query heads, one thread.");
        output.WriteLine();
        var table = new TextTable("kind", "bits K", "bits V", "to f16", "cosine K", "cosine V", "products", "bias", "outputs", "attention/s");
        foreach (KvEntry kind in report.Kinds)
        {
            table.Add(
                kind.Name,
                Invariant($"{kind.KeyBits:0.###}"),
                Invariant($"{kind.ValueBits:0.###}"),
                Invariant($"{32 / (kind.KeyBits + kind.ValueBits):0.00}x"),
                Invariant($"{kind.KeyCosine:0.0000}"),
                Invariant($"{kind.ValueCosine:0.0000}"),
                Invariant($"{kind.ProductError:0.0000}"),
                Invariant($"{kind.ProductBias:0.0000}"),
                Invariant($"{kind.OutputCosine:0.0000}"),
                kind.AttentionsPerSecond is { } rate ? Invariant($"{rate:0}") : "");
        }

        table.Write(output);
    }
}
