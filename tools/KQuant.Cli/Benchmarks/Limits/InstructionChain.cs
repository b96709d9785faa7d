using KQuant.Codecs;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>
/// A sequence of instructions that products can be made of, on operands in the first-level cache and with nothing around it: no kernel made of
/// it is faster.
/// </summary>
/// <param name="tier">The instruction set.</param>
/// <param name="name">What is multiplied and how it is added up.</param>
/// <param name="operationsPerPass">Multiplications and additions in a pass.</param>
/// <param name="run">Does a number of passes over <see cref="OperandBytes"/> bytes of operands.</param>
internal sealed unsafe class InstructionChain(KernelTier tier, string name, int operationsPerPass, delegate*<byte*, int, void> run)
{
    /// <summary>Bytes that a chain reads.</summary>
    public const int OperandBytes = 8 << 10;

    /// <summary>Every chain there is, best tier first.</summary>
    public static IReadOnlyList<InstructionChain> All { get; } =
    [
        new(KernelTier.Avx512, "int8, 8 sums in 16 bits", Avx512Chains.Operations, &Avx512Chains.Bytes<Steps8>),
        new(KernelTier.Avx512, "int8, 4 sums in 16 bits", Avx512Chains.Operations, &Avx512Chains.Bytes<Steps4>),
        new(KernelTier.Avx512, "int8, 2 sums in 16 bits", Avx512Chains.Operations, &Avx512Chains.Bytes<Steps2>),
        new(KernelTier.Avx512, "int8, 1 sum in 16 bits", Avx512Chains.Operations, &Avx512Chains.Bytes<Steps1>),
        new(KernelTier.Avx512, "float32", Avx512Chains.FloatOperations, &Avx512Chains.Floats),
        new(KernelTier.AvxVnni, "int8 dot product", Avx2Chains.VnniOperations, &Avx2Chains.DotProducts),
        new(KernelTier.Avx2, "int8, 8 sums in 16 bits", Avx2Chains.Operations, &Avx2Chains.Bytes<Steps8>),
        new(KernelTier.Avx2, "int8, 4 sums in 16 bits", Avx2Chains.Operations, &Avx2Chains.Bytes<Steps4>),
        new(KernelTier.Avx2, "int8, 2 sums in 16 bits", Avx2Chains.Operations, &Avx2Chains.Bytes<Steps2>),
        new(KernelTier.Avx2, "int8, 1 sum in 16 bits", Avx2Chains.Operations, &Avx2Chains.Bytes<Steps1>),
        new(KernelTier.Avx2, "float32", Avx2Chains.FloatOperations, &Avx2Chains.Floats),
        new(KernelTier.NeonDot, "int8 dot product", NeonChains.DotProductOperations, &NeonChains.DotProducts),
        new(KernelTier.Neon, "int8, 1 sum in 16 bits", NeonChains.Operations, &NeonChains.Bytes),
        new(KernelTier.Neon, "float32", NeonChains.FloatOperations, &NeonChains.Floats),
    ];

    /// <summary>The instruction set.</summary>
    public KernelTier Tier { get; } = tier;

    /// <summary>What is multiplied and how it is added up.</summary>
    public string Name { get; } = name;

    /// <summary>Multiplications and additions in a pass.</summary>
    public int OperationsPerPass { get; } = operationsPerPass;

    /// <summary>Whether this machine runs it.</summary>
    public bool IsSupported => KernelTiers.IsSupported(Tier);

    /// <summary>The chain that a product can be made of at best.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <param name="tier">The kernel's instruction set.</param>
    /// <param name="isInteger">Whether activations are int8.</param>
    /// <returns>The chain, or null for kernels that are not measured by instructions.</returns>
    public static InstructionChain? For(QuantCodec codec, KernelTier tier, bool isInteger)
    {
        string name = !isInteger ? "float32" : tier is KernelTier.AvxVnni or KernelTier.NeonDot ? "int8 dot product" : NameOf(codec);
        if (isInteger && tier == KernelTier.Neon)
        {
            name = "int8, 1 sum in 16 bits";
        }

        // Codes of eight bits fill sixteen with one product; 256-bit dot products are as fast and need no second step.
        if (tier == KernelTier.Avx512 && codec.Format == QuantFormat.Q8_0 && isInteger && KernelTiers.IsSupported(KernelTier.AvxVnni))
        {
            (tier, name) = (KernelTier.AvxVnni, "int8 dot product");
        }

        // The float tiers between have the instructions of the one below.
        tier = isInteger ? tier : tier switch { KernelTier.AvxVnni => KernelTier.Avx2, KernelTier.NeonDot => KernelTier.Neon, _ => tier };
        return All.FirstOrDefault(chain => chain.Tier == tier && chain.Name == name && chain.IsSupported);
    }

    /// <summary>Does passes.</summary>
    /// <param name="operands"><see cref="OperandBytes"/> bytes, 64-byte aligned.</param>
    /// <param name="passes">How many.</param>
    public void Run(byte* operands, int passes) => run(operands, passes);

    public override string ToString() => $"{Tier} {Name}";

    // As many sums as can never overflow, |activation| <= 127: 8 of codes below 16, 4 below 32, 2 below 64.
    private static string NameOf(QuantCodec codec) => codec.Format switch
    {
        QuantFormat.Q5_0 or QuantFormat.Q5_1 or QuantFormat.Q5_K => "int8, 4 sums in 16 bits",
        QuantFormat.Q6_K => "int8, 2 sums in 16 bits",
        QuantFormat.Q8_0 => "int8, 1 sum in 16 bits",
        _ => "int8, 8 sums in 16 bits",
    };
}
