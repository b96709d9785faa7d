namespace KQuant.Codecs;

/// <summary>The number types that weights and activations come in, for members that are generic over them.</summary>
internal static class FloatFormats
{
    /// <summary>The format of a number type.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.</typeparam>
    /// <exception cref="NotSupportedException">It is another type.</exception>
    public static QuantFormat Of<T>()
        where T : unmanaged =>
        typeof(T) == typeof(float) ? QuantFormat.F32
        : typeof(T) == typeof(Half) ? QuantFormat.F16
        : typeof(T) == typeof(BFloat16) ? QuantFormat.BF16
        : throw new NotSupportedException($"{typeof(T)} is none of float, Half and BFloat16.");
}
