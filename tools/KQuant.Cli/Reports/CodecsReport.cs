using KQuant.Codecs;
using KQuant.Matmul;

namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant codecs --json</c> prints.</summary>
/// <param name="Codecs">The table.</param>
/// <param name="Hardware">What the machine has; null unless asked for.</param>
internal sealed record CodecsReport(IReadOnlyList<CodecEntry> Codecs, HardwareReport? Hardware);

/// <summary>One codec, the tiers of its decoder and encoder, and the kernel that multiplies one row of activations with it.</summary>
internal sealed record CodecEntry(
    string Name,
    int? GgmlType,
    bool Quantized,
    int WeightsPerBlock,
    int BytesPerBlock,
    double BitsPerWeight,
    string DecodeTier,
    string EncodeTier,
    string ProductTier,
    string ProductKernel)
{
    public static CodecEntry Of(QuantCodec codec, MatmulKernel kernel) => new(
        codec.Name, (int?)codec.Format, codec.IsQuantized, codec.WeightsPerBlock, codec.BytesPerBlock, codec.BitsPerWeight,
        codec.DecodeTier.ToString(), codec.EncodeTier.ToString(), kernel.Tier.ToString(), kernel.Name);
}

/// <summary>What the machine has.</summary>
internal sealed record HardwareReport(
    string Processor, int Processors, string Architecture, string Runtime, string MaxTier, IReadOnlyList<TierEntry> Tiers,
    string? UnusedTier, string Metal);

/// <summary>One tier, and whether the machine runs it.</summary>
internal sealed record TierEntry(string Name, bool Supported, bool Allowed);
