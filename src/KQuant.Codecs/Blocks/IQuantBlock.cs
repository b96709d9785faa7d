namespace KQuant.Codecs.Blocks;

/// <summary>
/// A codec is its block: a packed struct whose size is the wire size, and the scalar code that turns weights into blocks and back.
/// </summary>
/// <typeparam name="TSelf">The block struct.</typeparam>
public interface IQuantBlock<TSelf>
    where TSelf : unmanaged, IQuantBlock<TSelf>
{
    /// <summary>The format, and with it the GGML type id.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Weights in one block.</summary>
    static abstract int WeightsPerBlock { get; }

    /// <summary>
    /// Whether the scales (of a pass-through format: the weight) are finite numbers, so that the block decodes to finite weights.
    /// </summary>
    bool IsFinite { get; }

    /// <summary>Decodes blocks. This is the specification that every SIMD decoder is compared with.</summary>
    /// <param name="source">Blocks.</param>
    /// <param name="destination"><c>source.Length * WeightsPerBlock</c> weights.</param>
    static abstract void Decode(ReadOnlySpan<TSelf> source, Span<float> destination);

    /// <summary>
    /// Encodes one row of finite weights. <see cref="EncodeOptions.Importance"/> is empty or as long as the row. The overflow policy is the
    /// caller's business: a scale beyond binary16 is stored as infinity.
    /// </summary>
    /// <param name="source">The weights of a row, a whole number of blocks.</param>
    /// <param name="destination">The blocks of the row.</param>
    /// <param name="options">Mode and importance.</param>
    static abstract void Encode(ReadOnlySpan<float> source, Span<TSelf> destination, in EncodeOptions options);
}
