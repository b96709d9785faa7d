using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>Sizes of element types, and their relation to codecs.</summary>
public static class ElementTypes
{
    private static readonly string[] Names = Enum.GetNames<ElementType>();

    /// <summary>Bits that one element takes.</summary>
    /// <param name="type">An element type.</param>
    /// <returns>4 to 64.</returns>
    public static int GetBits(this ElementType type) => type switch
    {
        ElementType.F4 => 4,
        ElementType.F6_E2M3 or ElementType.F6_E3M2 => 6,
        <= ElementType.F8_E5M2FNUZ => 8,
        <= ElementType.BF16 => 16,
        <= ElementType.F32 => 32,
        _ => 64,
    };

    /// <summary>The pass-through codec that decodes elements of this type.</summary>
    /// <param name="type">An element type.</param>
    /// <param name="codec">The codec of f32, f16 or bf16, else null.</param>
    /// <returns>Whether there is one.</returns>
    public static bool TryGetCodec(this ElementType type, [NotNullWhen(true)] out QuantCodec? codec)
    {
        codec = type switch
        {
            ElementType.F32 => QuantCodec.Get(QuantFormat.F32),
            ElementType.F16 => QuantCodec.Get(QuantFormat.F16),
            ElementType.BF16 => QuantCodec.Get(QuantFormat.BF16),
            _ => null,
        };
        return codec is not null;
    }

    /// <summary>
    /// How a file without block formats stores tensors of a codec: floats as themselves, blocks as <see cref="ElementType.U8"/>.
    /// </summary>
    /// <param name="codec">A codec.</param>
    /// <returns>The element type.</returns>
    public static ElementType GetElementType(this QuantCodec codec)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return codec.Format switch
        {
            QuantFormat.F32 => ElementType.F32,
            QuantFormat.F16 => ElementType.F16,
            QuantFormat.BF16 => ElementType.BF16,
            _ => ElementType.U8,
        };
    }

    /// <summary>The type of a name in any case, such as <c>bf16</c>; <see cref="Enum"/>'s own method would take numbers too.</summary>
    internal static bool TryParse(string name, out ElementType type)
    {
        int index = Array.FindIndex(Names, candidate => candidate.Equals(name, StringComparison.OrdinalIgnoreCase));
        type = (ElementType)Math.Max(index, 0);
        return index >= 0;
    }

    /// <summary>
    /// Bytes of a tensor, by checked multiplication in the order of the dimensions, so that a later 0 does not hide an overflow.
    /// </summary>
    /// <param name="type">The element type.</param>
    /// <param name="shape">The dimensions, none negative.</param>
    /// <param name="byteCount">The bytes, or 0.</param>
    /// <returns>False when the size overflows 64 bits or the elements do not fill whole bytes.</returns>
    internal static bool TryGetByteCount(ElementType type, ReadOnlySpan<long> shape, out long byteCount)
    {
        Int128 bits = type.GetBits();
        byteCount = 0;
        foreach (long dimension in shape)
        {
            bits *= dimension;
            if (bits > long.MaxValue)
            {
                return false;
            }
        }

        byteCount = (long)(bits >> 3);
        return (bits & 7) == 0;
    }
}
