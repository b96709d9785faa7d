using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant codecs</c>: the table of formats, and what the machine runs them with.</summary>
internal static class CodecsCommand
{
    internal static Command Create()
    {
        var hardware = new Option<bool>("--hardware") { Description = "Also show the instruction tiers of this machine." };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("codecs", "List the formats, with their sizes and the tier of their decoder.") { hardware, json };
        command.SetWork((parsed, _) =>
        {
            var report = new CodecsReport(
                [.. CommonOptions.AllCodecs.Select(CodecEntry.Of)], parsed.GetValue(hardware) ? DescribeHardware() : null);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.CodecsReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static HardwareReport DescribeHardware() => new(
        MachineName.Processor,
        Environment.ProcessorCount,
        RuntimeInformation.ProcessArchitecture.ToString(),
        MachineName.Runtime,
        KernelTiers.Max.ToString(),
        [
            .. KernelTiers.All.ToArray().Select(tier =>
                new TierEntry(tier.ToString(), KernelTiers.IsSupported(tier), tier <= KernelTiers.Max)),
        ]);

    private static void Write(CodecsReport report, TextWriter output)
    {
        var table = new TextTable("codec", "decoder", "ggml type", "weights/block", "bytes/block", "bits/weight") { TextColumns = 2 };
        foreach (CodecEntry codec in report.Codecs)
        {
            table.Add(
                codec.Name,
                codec.DecodeTier,
                codec.GgmlType.ToString(CultureInfo.InvariantCulture),
                codec.WeightsPerBlock.ToString(CultureInfo.InvariantCulture),
                codec.BytesPerBlock.ToString(CultureInfo.InvariantCulture),
                codec.BitsPerWeight.ToString("0.####", CultureInfo.InvariantCulture));
        }

        table.Write(output);
        if (report.Hardware is HardwareReport hardware)
        {
            output.WriteLine();
            output.WriteLine($"{hardware.Processor}, {hardware.Processors} processors, {hardware.Architecture}, {hardware.Runtime}");
            var tiers = new TextTable("tier", "this machine") { TextColumns = 2 };
            foreach (TierEntry tier in hardware.Tiers)
            {
                tiers.Add(tier.Name, !tier.Supported ? "no" : tier.Allowed ? "yes" : $"yes, but {KernelTiers.MaxTierVariable} is {hardware.MaxTier}");
            }

            tiers.Write(output);
        }
    }
}
