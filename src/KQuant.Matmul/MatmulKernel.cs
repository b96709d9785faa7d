using KQuant.Codecs;

namespace KQuant.Matmul;

/// <summary>Which code computes a product.</summary>
/// <param name="Codec">Codec of the weights.</param>
/// <param name="Tier">Instruction set.</param>
/// <param name="Name">
/// What kind: <c>row</c> reads wire bytes for a few activation rows, <c>panel</c> unpacks weights once for many, <c>float</c> multiplies
/// float32, <c>scalar</c> is the plain definition.
/// </param>
internal readonly record struct MatmulKernel(QuantCodec Codec, KernelTier Tier, string Name)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Codec.Name} {Tier} {Name}";
}
