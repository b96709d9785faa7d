using System.Runtime.CompilerServices;

namespace KQuant.Codecs;

/// <summary>
/// A bfloat16 number: the upper 16 bits of an IEEE 754 binary32. It only converts; arithmetic happens in <see cref="float"/>.
/// </summary>
/// <param name="Bits">The bit pattern.</param>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>Converts from <see cref="float"/>, rounding to nearest, ties to even. A NaN stays a (quiet) NaN.</summary>
    /// <param name="value">The value to round.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static explicit operator BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (bits & 0x7FFF_FFFF) > 0x7F80_0000
            ? new BFloat16((ushort)((bits >> 16) | 0x40))
            : new BFloat16((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>Converts to <see cref="float"/>; exact.</summary>
    /// <param name="value">The value to widen.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static explicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value.Bits << 16);

    /// <inheritdoc/>
    public override string ToString() => ((float)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}
