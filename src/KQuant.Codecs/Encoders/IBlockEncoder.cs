using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders;

/// <summary>The encoders of a block format, by row. <see cref="BlockEncoder"/> chooses among them.</summary>
internal interface IBlockEncoder<TSelf> : IQuantBlock<TSelf>
    where TSelf : unmanaged, IBlockEncoder<TSelf>
{
    /// <summary>Encodes a row without importance, as ggml's <c>quantize_row_*_ref</c> does.</summary>
    static abstract void EncodePlain(ReadOnlySpan<float> row, Span<TSelf> destination);

    /// <summary>Encodes a row with one importance per weight, as ggml's <c>quantize_row_*_impl</c> does.</summary>
    static abstract void EncodeWeighted(ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<TSelf> destination);

    /// <summary>Looks for a block with a lower weighted squared error, starting from an encoded one.</summary>
    static abstract TSelf Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in TSelf start);

    /// <inheritdoc/>
    static void IQuantBlock<TSelf>.EncodeBest(EncodeKernel kernel, in EncodeTask task) => BestEncoder.Encode<TSelf>(kernel, task);
}
