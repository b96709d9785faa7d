using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders;

/// <summary>Chooses the reference encoder of a row.</summary>
internal static class BlockEncoder
{
    /// <summary>Encodes one row; see <see cref="IQuantBlock{TSelf}.Encode"/>.</summary>
    public static void Encode<TBlock>(ReadOnlySpan<float> row, Span<TBlock> destination, in EncodeOptions options)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        if (options.Importance.IsEmpty)
        {
            TBlock.EncodePlain(row, destination);
        }
        else
        {
            TBlock.EncodeWeighted(row, options.Importance, destination);
        }
    }
}
