using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using KQuant.Cli.Benchmarks;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Metal;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant codecs</c>: the table of formats, and what the machine runs them with.</summary>
internal static class CodecsCommand
{
    internal static Command Create()
    {
        var hardware = new Option<bool>("--hardware") { Description = "Also show the instruction tiers of this machine." };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("codecs", "List the formats, with their sizes, the tiers of their decoder and encoder, and the kernel of their products.") { hardware, json };
        command.SetWork((parsed, _) =>
        {
            using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
            var report = new CodecsReport(
                [.. CommonOptions.AllCodecs.Select(codec => CodecEntry.Of(codec, context.GetKernel(codec, 1)))], parsed.GetValue(hardware) ? DescribeHardware() : null);
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
                new TierEntry(tier.ToString(), KernelTiers.IsSupported(tier), KernelTiers.Allows(KernelTiers.Max, tier))),
        ],
        HardwareTiers.Unused?.ToString(),
        DescribeMetal());

    // The device and what its self-test allows, or why there is none.
    private static string DescribeMetal()
    {
        if (!MetalBackend.TryCreate(out MetalBackend? backend, out string? reason))
        {
            return $"no: {reason}";
        }

        using (backend)
        {
            return $"{backend.Name}, mapped files {(backend.ReadsMappedFiles ? "read in place" : "copied")}, matrix units "
                + (backend.UsesMatrixUnits ? "used" : "not used: they add in another order");
        }
    }

    private static void Write(CodecsReport report, TextWriter output)
    {
        var table = new TextTable("codec", "decoder", "encoder", "product", "ggml type", "weights/block", "bytes/block", "bits/weight") { TextColumns = 4 };
        foreach (CodecEntry codec in report.Codecs)
        {
            table.Add(
                codec.Name,
                codec.DecodeTier,
                codec.EncodeTier,
                $"{codec.ProductTier} {codec.ProductKernel}",
                codec.GgmlType?.ToString(CultureInfo.InvariantCulture) ?? "",
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
            output.WriteLine($"GPU: {hardware.Metal}");
            if (hardware.UnusedTier is string unused)
            {
                output.WriteLine($"The processor has {unused}, which this program was not compiled for or was told not to use (IlcInstructionSet, DOTNET_Enable*).");
            }
        }
    }
}
