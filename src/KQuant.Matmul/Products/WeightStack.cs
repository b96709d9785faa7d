using KQuant.Codecs;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Pinned weights: matrices of wire bytes, one behind the other.</summary>
/// <param name="tensor">The weights.</param>
/// <param name="planes">Where their planes begin.</param>
/// <param name="bias">What is added to results; null for nothing.</param>
/// <param name="packed">The same weights in an arrangement of their own.</param>
/// <param name="rows">Rows of a matrix from <paramref name="planes"/> on; null for those of the tensor.</param>
internal readonly unsafe struct WeightStack(
    QuantizedTensor tensor, PlanePointers planes, float* bias = null, PackedWeights? packed = null, int? rows = null)
{
    /// <summary>The codec.</summary>
    public readonly QuantCodec Codec = tensor.Codec;

    /// <summary>What happens to activations first.</summary>
    public readonly ActivationTransform? Transform = tensor.Transform;

    /// <summary>Bytes from row to row, in the first plane.</summary>
    public readonly nint RowBytes = (nint)tensor.RowByteCount;

    /// <summary>Bytes from row to row in the second plane; 0 if there is none.</summary>
    public readonly nint ScaleRowBytes = (nint)tensor.GetRowByteCount(1);

    /// <summary>Bytes from row to row in the third plane; 0 if there is none.</summary>
    public readonly nint BiasRowBytes = (nint)tensor.GetRowByteCount(2);

    /// <summary>Rows of one matrix.</summary>
    public readonly int Rows = rows ?? (int)tensor.Shape.Rows;

    /// <summary>Columns.</summary>
    public readonly int Columns = tensor.Shape.Columns;

    /// <summary>The same matrices in an arrangement of their own, if there is one.</summary>
    public readonly PackedWeights? Packed = packed;

    private readonly PlanePointers _planes = planes;
    private readonly float* _bias = bias;

    /// <summary>Units of 256 weights in a row; the last may be partial.</summary>
    public int Units => (Columns + 255) / 256;

    /// <summary>Blocks in the last unit of a row.</summary>
    public int TailBlocks => ((Columns - 1) % 256 / Codec.WeightsPerBlock) + 1;

    /// <summary>Whether all bytes lie in one plane.</summary>
    public bool IsSinglePlane => _planes.Scales == null;

    /// <summary>Bytes of one matrix, in all planes.</summary>
    public nint MatrixBytes => Rows * (RowBytes + ScaleRowBytes + BiasRowBytes);

    /// <summary>Bytes that columns take in the first plane, rounded down.</summary>
    public nint BytesOf(int columns) => (nint)columns * Codec.PlaneBytes(0) / Codec.WeightsPerBlock;

    /// <summary>What is added to every row of products with a matrix, <see cref="Rows"/> values; null for nothing.</summary>
    public float* Bias(nint number) => _bias == null ? null : _bias + (number * Rows);

    /// <summary>The first row of a matrix, as a kernel wants it.</summary>
    public byte* Matrix(nint number, ProductKernel kernel) =>
        kernel.IsPacked ? Packed!.Pointer + (number * Packed.MatrixBytes) : Matrix(number);

    /// <summary>The first row of a matrix in the first plane.</summary>
    public byte* Matrix(nint number) => _planes.Codes + (number * Rows * RowBytes);

    /// <summary>A row of a matrix in all planes.</summary>
    public PlanePointers Row(nint matrix, nint row)
    {
        nint number = (matrix * Rows) + row;
        return _planes.Add(number * RowBytes, number * ScaleRowBytes, number * BiasRowBytes);
    }
}
