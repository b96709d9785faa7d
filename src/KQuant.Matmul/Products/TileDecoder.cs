using KQuant.Codecs.Decoding;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>Decodes rectangles of a matrix.</summary>
internal static unsafe class TileDecoder
{
    /// <summary>Decodes some columns of some rows, with zeros up to a multiple of sixteen columns.</summary>
    /// <returns>The columns with the zeros.</returns>
    public static int Decode(
        in WeightStack weights, DecodeKernel decoder, byte* firstRow, int rows, int firstColumn, int columns, float* destination, nint stride)
    {
        int block = weights.Codec.WeightsPerBlock;
        int padded = (columns + FloatKernel.Lanes - 1) & ~(FloatKernel.Lanes - 1);
        byte* source = firstRow + weights.BytesOf(firstColumn);
        for (int r = 0; r < rows; r++)
        {
            float* row = destination + (r * stride);
            decoder.Run(source + (r * weights.RowBytes), row, columns / block);
            new Span<float>(row + columns, padded - columns).Clear();
        }

        return padded;
    }
}
