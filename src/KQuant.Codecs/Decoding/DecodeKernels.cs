namespace KQuant.Codecs.Decoding;

/// <summary>Every decoder there is, whether this machine runs it or not. Tests and benchmarks walk the table.</summary>
internal static unsafe class DecodeKernels
{
    public static IReadOnlyList<DecodeKernel> All { get; } =
    [
        .. QuantCodec.All.Select(codec => codec.ScalarDecoder),

        new(QuantFormat.F16, KernelTier.Portable, &PortableFloatDecoders.F16),
        new(QuantFormat.BF16, KernelTier.Portable, &PortableFloatDecoders.BF16),
        new(QuantFormat.Q4_0, KernelTier.Portable, &PortableFlatDecoders.Q4_0),
        new(QuantFormat.Q4_1, KernelTier.Portable, &PortableFlatDecoders.Q4_1),
        new(QuantFormat.Q5_0, KernelTier.Portable, &PortableFlatDecoders.Q5_0),
        new(QuantFormat.Q5_1, KernelTier.Portable, &PortableFlatDecoders.Q5_1),
        new(QuantFormat.Q8_0, KernelTier.Portable, &PortableFlatDecoders.Q8_0),
        new(QuantFormat.Q2_K, KernelTier.Portable, &PortableKDecoders.Q2_K),
        new(QuantFormat.Q3_K, KernelTier.Portable, &PortableKDecoders.Q3_K),
        new(QuantFormat.Q4_K, KernelTier.Portable, &PortableKDecoders.Q4_K),
        new(QuantFormat.Q5_K, KernelTier.Portable, &PortableKDecoders.Q5_K),
        new(QuantFormat.Q6_K, KernelTier.Portable, &PortableKDecoders.Q6_K),

        new(QuantFormat.Q4_0, KernelTier.Neon, &NeonDecoders.Flat<NeonQ4_0>),
        new(QuantFormat.Q4_1, KernelTier.Neon, &NeonDecoders.Flat<NeonQ4_1>),
        new(QuantFormat.Q5_0, KernelTier.Neon, &NeonDecoders.Flat<NeonQ5_0>),
        new(QuantFormat.Q5_1, KernelTier.Neon, &NeonDecoders.Flat<NeonQ5_1>),
        new(QuantFormat.Q8_0, KernelTier.Neon, &NeonDecoders.Flat<NeonQ8_0>),
        new(QuantFormat.Q2_K, KernelTier.Neon, &NeonDecoders.K<NeonQ2_K>),
        new(QuantFormat.Q3_K, KernelTier.Neon, &NeonDecoders.K<NeonQ3_K>),
        new(QuantFormat.Q4_K, KernelTier.Neon, &NeonDecoders.K<NeonQ4_K>),
        new(QuantFormat.Q5_K, KernelTier.Neon, &NeonDecoders.K<NeonQ5_K>),
        new(QuantFormat.Q6_K, KernelTier.Neon, &NeonDecoders.K<NeonQ6_K>),

        new(QuantFormat.F16, KernelTier.Avx2, &Avx2FloatDecoders.F16),
        new(QuantFormat.BF16, KernelTier.Avx2, &Avx2FloatDecoders.BF16),
        new(QuantFormat.Q4_0, KernelTier.Avx2, &Avx2FlatDecoders.Q4_0),
        new(QuantFormat.Q4_1, KernelTier.Avx2, &Avx2FlatDecoders.Q4_1),
        new(QuantFormat.Q5_0, KernelTier.Avx2, &Avx2FlatDecoders.Q5_0),
        new(QuantFormat.Q5_1, KernelTier.Avx2, &Avx2FlatDecoders.Q5_1),
        new(QuantFormat.Q8_0, KernelTier.Avx2, &Avx2FlatDecoders.Q8_0),
        new(QuantFormat.Q2_K, KernelTier.Avx2, &Avx2KDecoders.Q2_K),
        new(QuantFormat.Q3_K, KernelTier.Avx2, &Avx2KDecoders.Q3_K),
        new(QuantFormat.Q4_K, KernelTier.Avx2, &Avx2KDecoders.Q4_K),
        new(QuantFormat.Q5_K, KernelTier.Avx2, &Avx2KDecoders.Q5_K),
        new(QuantFormat.Q6_K, KernelTier.Avx2, &Avx2KDecoders.Q6_K),

        new(QuantFormat.F16, KernelTier.Avx512, &Avx512FloatDecoders.F16),
        new(QuantFormat.BF16, KernelTier.Avx512, &Avx512FloatDecoders.BF16),
        new(QuantFormat.Q4_0, KernelTier.Avx512, &Avx512FlatDecoders.Q4_0),
        new(QuantFormat.Q4_1, KernelTier.Avx512, &Avx512FlatDecoders.Q4_1),
        new(QuantFormat.Q5_0, KernelTier.Avx512, &Avx512FlatDecoders.Q5_0),
        new(QuantFormat.Q5_1, KernelTier.Avx512, &Avx512FlatDecoders.Q5_1),
        new(QuantFormat.Q8_0, KernelTier.Avx512, &Avx512FlatDecoders.Q8_0),
        new(QuantFormat.Q2_K, KernelTier.Avx512, &Avx512KDecoders.Q2_K),
        new(QuantFormat.Q3_K, KernelTier.Avx512, &Avx512KDecoders.Q3_K),
        new(QuantFormat.Q4_K, KernelTier.Avx512, &Avx512KDecoders.Q4_K),
        new(QuantFormat.Q5_K, KernelTier.Avx512, &Avx512KDecoders.Q5_K),
        new(QuantFormat.Q6_K, KernelTier.Avx512, &Avx512KDecoders.Q6_K),
    ];

    /// <summary>The best decoder of a codec that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static DecodeKernel Best(QuantCodec codec, KernelTier maxTier) => All
        .Where(kernel => kernel.Codec == codec && KernelTiers.Allows(maxTier, kernel.Tier) && kernel.IsSupported)
        .MaxBy(kernel => kernel.Tier) ?? codec.ScalarDecoder;
}
