using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Decoding;

/// <summary>One way to decode one format: <c>Run(source, destination, blocks)</c>.</summary>
internal sealed unsafe class DecodeKernel(QuantFormat format, KernelTier tier, delegate*<byte*, float*, nint, void> run)
{
    public QuantFormat Format { get; } = format;

    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    public void Run(byte* source, float* destination, nint blocks) => run(source, destination, blocks);

    public override string ToString() => $"{Format} {Tier}";
}

/// <summary>Every decoder there is, whether this machine runs it or not. Tests and benchmarks walk the table.</summary>
internal static unsafe class DecodeKernels
{
    public static IReadOnlyList<DecodeKernel> All { get; } =
    [
        Scalar<BlockF32>(), Scalar<BlockF16>(), Scalar<BlockBF16>(),
        Scalar<BlockQ4_0>(), Scalar<BlockQ4_1>(), Scalar<BlockQ5_0>(), Scalar<BlockQ5_1>(), Scalar<BlockQ8_0>(),
        Scalar<BlockQ2_K>(), Scalar<BlockQ3_K>(), Scalar<BlockQ4_K>(), Scalar<BlockQ5_K>(), Scalar<BlockQ6_K>(),
    ];

    /// <summary>The best decoder of a format that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static DecodeKernel Best(QuantFormat format, KernelTier maxTier) => All
        .Where(kernel => kernel.Format == format && kernel.Tier <= maxTier && kernel.IsSupported)
        .MaxBy(kernel => kernel.Tier)!;

    private static DecodeKernel Scalar<TBlock>()
        where TBlock : unmanaged, IQuantBlock<TBlock> => new(TBlock.Format, KernelTier.Scalar, &DecodeScalar<TBlock>);

    private static void DecodeScalar<TBlock>(byte* source, float* destination, nint blocks)
        where TBlock : unmanaged, IQuantBlock<TBlock> => TBlock.Decode(
            MemoryMarshal.CreateReadOnlySpan(ref *(TBlock*)source, checked((int)blocks)),
            MemoryMarshal.CreateSpan(ref *destination, checked((int)blocks * TBlock.WeightsPerBlock)));
}
