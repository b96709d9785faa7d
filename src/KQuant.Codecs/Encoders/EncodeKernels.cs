using KQuant.Codecs.Blocks;
using KQuant.Codecs.Encoders.Lanes;

namespace KQuant.Codecs.Encoders;

/// <summary>Every encoder. Tests compare each entry with the scalar one; codecs choose from it; benchmarks walk it.</summary>
internal static unsafe class EncodeKernels
{
    public static IReadOnlyList<EncodeKernel> All { get; } =
    [
        .. QuantCodec.All.Select(codec => codec.ScalarEncoder).OfType<EncodeKernel>(),

        new(QuantFormat.Q2_K, KernelTier.Portable, &AffineLaneEncoder.Encode<BlockQ2_K, Lanes128, Lanes128>),
        new(QuantFormat.Q3_K, KernelTier.Portable, &Q3LaneEncoder.Encode<Lanes128, LanePair<Lanes128>>),
        new(QuantFormat.Q4_K, KernelTier.Portable, &AffineLaneEncoder.Encode<BlockQ4_K, Lanes128, Lanes128>),
        new(QuantFormat.Q5_K, KernelTier.Portable, &AffineLaneEncoder.Encode<BlockQ5_K, Lanes128, Lanes128>),
        new(QuantFormat.Q6_K, KernelTier.Portable, &Q6LaneEncoder.Encode<Lanes128>),
        new(QuantFormat.Q4_0, KernelTier.Portable, &SymmetricFlatLaneEncoder.Encode<BlockQ4_0, Lanes128>),
        new(QuantFormat.Q4_1, KernelTier.Portable, &AffineFlatLaneEncoder.Encode<BlockQ4_1, Lanes128, Lanes128>),
        new(QuantFormat.Q5_0, KernelTier.Portable, &SymmetricFlatLaneEncoder.Encode<BlockQ5_0, Lanes128>),
        new(QuantFormat.Q5_1, KernelTier.Portable, &AffineFlatLaneEncoder.Encode<BlockQ5_1, Lanes128, Lanes128>),
        new(QuantFormat.Q8_0, KernelTier.Portable, &Q8LaneEncoder.Encode<Lanes128>),

        new(QuantFormat.Q2_K, KernelTier.Avx2, &AffineLaneEncoder.Encode<BlockQ2_K, Lanes256, Lanes256>),
        new(QuantFormat.Q3_K, KernelTier.Avx2, &Q3LaneEncoder.Encode<Lanes256, LanePair<Lanes256>>),
        new(QuantFormat.Q4_K, KernelTier.Avx2, &AffineLaneEncoder.Encode<BlockQ4_K, Lanes256, Lanes256>),
        new(QuantFormat.Q5_K, KernelTier.Avx2, &AffineLaneEncoder.Encode<BlockQ5_K, Lanes256, Lanes256>),
        new(QuantFormat.Q6_K, KernelTier.Avx2, &Q6LaneEncoder.Encode<Lanes256>),
        new(QuantFormat.Q4_0, KernelTier.Avx2, &SymmetricFlatLaneEncoder.Encode<BlockQ4_0, Lanes256>),
        new(QuantFormat.Q4_1, KernelTier.Avx2, &AffineFlatLaneEncoder.Encode<BlockQ4_1, Lanes256, Lanes256>),
        new(QuantFormat.Q5_0, KernelTier.Avx2, &SymmetricFlatLaneEncoder.Encode<BlockQ5_0, Lanes256>),
        new(QuantFormat.Q5_1, KernelTier.Avx2, &AffineFlatLaneEncoder.Encode<BlockQ5_1, Lanes256, Lanes256>),
        new(QuantFormat.Q8_0, KernelTier.Avx2, &Q8LaneEncoder.Encode<Lanes256>),

        new(QuantFormat.Q2_K, KernelTier.Avx512, &AffineLaneEncoder.Encode<BlockQ2_K, Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q3_K, KernelTier.Avx512, &Q3LaneEncoder.Encode<Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q4_K, KernelTier.Avx512, &AffineLaneEncoder.Encode<BlockQ4_K, Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q5_K, KernelTier.Avx512, &AffineLaneEncoder.Encode<BlockQ5_K, Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q6_K, KernelTier.Avx512, &Q6LaneEncoder.Encode<Lanes512>),
        new(QuantFormat.Q4_0, KernelTier.Avx512, &SymmetricFlatLaneEncoder.Encode<BlockQ4_0, Lanes512>),
        new(QuantFormat.Q4_1, KernelTier.Avx512, &AffineFlatLaneEncoder.Encode<BlockQ4_1, Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q5_0, KernelTier.Avx512, &SymmetricFlatLaneEncoder.Encode<BlockQ5_0, Lanes512>),
        new(QuantFormat.Q5_1, KernelTier.Avx512, &AffineFlatLaneEncoder.Encode<BlockQ5_1, Lanes512, LanePair<Lanes512>>),
        new(QuantFormat.Q8_0, KernelTier.Avx512, &Q8LaneEncoder.Encode<Lanes512>),
    ];

    /// <summary>The best encoder of a block codec that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static EncodeKernel Best(QuantCodec codec, KernelTier maxTier) => All
        .Where(kernel => kernel.Codec == codec && KernelTiers.Allows(maxTier, kernel.Tier) && kernel.IsSupported)
        .MaxBy(kernel => kernel.Tier)!;
}
