using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench codecs</c>: the speed of every decoder and encoder.</summary>
internal static class BenchCodecsCommand
{
    internal static Command Create()
    {
        Option<QuantCodec[]> codecs = CommonOptions.Codecs("Only this codec; may be given several times.");
        Option<KernelTier[]> tiers = CommonOptions.Tiers("Only this tier; may be given several times.");
        var encode = new Option<bool>("--encode") { Description = "Encoders only." };
        var decode = new Option<bool>("--decode") { Description = "Decoders only." };
        Option<int> rounds = CommonOptions.Number("--rounds", "Turns that each measurement gets; the best one counts.", 10, 1, 10_000);
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "codecs", "Measure decoding in GB/s of float32 output, and encoding in millions of weights per second, on one thread.")
        {
            codecs, tiers, encode, decode, rounds, json,
        };

        command.SetWork((parsed, cancellationToken) =>
        {
            bool both = parsed.GetValue(encode) == parsed.GetValue(decode);
            CodecReport report = Measure(
                parsed.GetValue(codecs) ?? [],
                ChooseTiers(parsed.GetValue(tiers) ?? []),
                both || parsed.GetValue(decode),
                both || parsed.GetValue(encode),
                parsed.GetValue(rounds),
                cancellationToken);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.CodecReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static KernelTier[] ChooseTiers(KernelTier[] asked)
    {
        foreach (KernelTier tier in asked)
        {
            if (!KernelTiers.IsSupported(tier))
            {
                throw new NotSupportedException($"This machine, as configured, does not run {tier}.");
            }
        }

        return asked.Length > 0 ? asked : [.. KernelTiers.All.ToArray().Where(KernelTiers.IsSupported)];
    }

    private static CodecReport Measure(
        QuantCodec[] asked, KernelTier[] tiers, bool decode, bool encode, int rounds, CancellationToken cancellationToken)
    {
        IReadOnlyList<DecodeSpeed>? decoded = null;
        IReadOnlyList<EncodeSpeed>? encoded = null;
        Progress.Show("Measuring", progress =>
        {
            if (decode)
            {
                QuantCodec[] codecs = asked.Length > 0 ? asked : [.. CommonOptions.AllCodecs];
                decoded = CodecBenchmark.Decode(codecs, tiers, rounds, progress, cancellationToken);
            }

            if (encode)
            {
                QuantCodec[] codecs = asked.Length > 0 ? asked : [.. QuantCodec.Quantized];
                encoded = CodecBenchmark.Encode(codecs, tiers, rounds, progress, cancellationToken);
            }
        });
        return new CodecReport(MachineName.Processor, MachineName.Runtime, decoded, encoded);
    }

    private static void Write(CodecReport report, TextWriter output)
    {
        output.WriteLine($"{report.Processor}, {report.Runtime}, one thread");
        output.WriteLine(Contest.Promise);
        if (report.Decode is not null)
        {
            output.WriteLine();
            output.WriteLine("Decode, GB/s of float32 output: a row of 16 KB in cache, and 128 MB of memory. * is what the library uses.");
            var table = new TextTable("codec", "tier", "", "cached", "streaming") { TextColumns = 3 };
            foreach (DecodeSpeed speed in report.Decode)
            {
                table.Add(speed.Codec, speed.Tier, speed.InUse ? "*" : "", Format(speed.CachedGBps), Format(speed.StreamingGBps));
            }

            table.Write(output);
        }

        if (report.Encode is not null)
        {
            output.WriteLine();
            output.WriteLine("Encode, millions of weights per second. * is what the library uses.");
            var table = new TextTable("codec", "tier", "", "reference", "importance", "best") { TextColumns = 3 };
            foreach (EncodeSpeed speed in report.Encode)
            {
                table.Add(
                    speed.Codec,
                    speed.Tier,
                    speed.InUse ? "*" : "",
                    Format(speed.Reference),
                    Format(speed.Importance),
                    Format(speed.Best));
            }

            table.Write(output);
        }
    }

    private static string Format(double value) => value.ToString(value < 100 ? "F1" : "F0", CultureInfo.InvariantCulture);
}
