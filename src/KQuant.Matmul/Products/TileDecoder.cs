using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>Decodes rectangles of a matrix.</summary>
internal static unsafe class TileDecoder
{
    /// <summary>Decodes some columns of some rows, with zeros up to a multiple of sixteen columns.</summary>
    /// <returns>The columns with the zeros.</returns>
    public static int Decode(
        in WeightStack weights,
        DecodeKernel decoder,
        nint matrix,
        int firstRow,
        int rows,
        int firstColumn,
        int columns,
        float* destination,
        nint stride)
    {
        int block = weights.Codec.WeightsPerBlock;
        int padded = (columns + FloatKernel.Lanes - 1) & ~(FloatKernel.Lanes - 1);
        PlanePointers first = weights.Row(matrix, firstRow).Skip(weights.Codec, firstColumn / block);
        for (int r = 0; r < rows; r++)
        {
            float* row = destination + (r * stride);
            decoder.Run(first.Add(r * weights.RowBytes, r * weights.ScaleRowBytes, r * weights.BiasRowBytes), row, columns / block);
            new Span<float>(row + columns, padded - columns).Clear();
        }

        return padded;
    }
}
