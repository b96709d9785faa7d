using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>
/// One way to multiply float32 activations by float weights. Every canonical implementation gives the same bits, in the order of
/// <see cref="ScalarFloatKernel{TSource, TMultiplyAdd}"/>; so a result depends on neither machine, thread count nor batch.
/// </summary>
internal abstract class FloatKernel(QuantFormat format, KernelTier tier, bool isCanonical)
{
    /// <summary>Columns that are summed together before the next ones are added.</summary>
    public const int ColumnBlock = 1024;

    /// <summary>Weight rows that a transposed product sums together before the next ones are added.</summary>
    public const int RowBlock = 64;

    /// <summary>Lanes of the canonical order.</summary>
    public const int Lanes = 16;

    /// <summary>Codec of the weights: f32, f16 or bf16.</summary>
    public QuantCodec Codec { get; } = QuantCodec.Get(format);

    /// <summary>Instruction set.</summary>
    public KernelTier Tier { get; } = tier;

    /// <summary>Whether products are added in one rounding. The others are for processors that have no instruction for that.</summary>
    public bool IsCanonical { get; } = isCanonical;

    /// <summary>Whether this machine runs it.</summary>
    public bool IsSupported => KernelTiers.IsSupported(Tier);

    /// <summary>The most activation rows for which weights are better not decoded in advance.</summary>
    public abstract int DirectRows { get; }

    /// <summary>Multiplies by the transpose of the weights.</summary>
    public abstract void Multiply(in FloatTask task);

    /// <summary>Multiplies by the weights as they are; float32 only.</summary>
    public abstract void MultiplyTransposed(in TransposedTask task);

    public sealed override string ToString() => IsCanonical ? $"{Codec.Name} {Tier} float" : $"{Codec.Name} {Tier} float, rounded twice";
}
