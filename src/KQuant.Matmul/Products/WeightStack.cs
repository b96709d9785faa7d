using KQuant.Codecs;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Pinned weights: matrices of wire bytes, one behind the other.</summary>
internal readonly unsafe struct WeightStack(QuantizedTensor tensor, byte* pointer, float* biases = null, PackedTensor? packed = null)
{
    /// <summary>The codec.</summary>
    public readonly QuantCodec Codec = tensor.Codec;

    /// <summary>Bytes from row to row.</summary>
    public readonly nint RowBytes = (nint)tensor.RowByteCount;

    /// <summary>Rows of one matrix.</summary>
    public readonly int Rows = (int)tensor.Shape.Rows;

    /// <summary>Columns.</summary>
    public readonly int Columns = tensor.Shape.Columns;

    /// <summary>The same matrices in an arrangement of their own, if there is one.</summary>
    public readonly PackedTensor? Packed = packed;

    private readonly byte* _pointer = pointer;
    private readonly float* _biases = biases;

    /// <summary>Units of 256 weights in a row; the last may be partial.</summary>
    public int Units => (Columns + 255) / 256;

    /// <summary>Blocks in the last unit of a row.</summary>
    public int TailBlocks => ((Columns - 1) % 256 / Codec.WeightsPerBlock) + 1;

    /// <summary>Bytes of one matrix.</summary>
    public nint MatrixBytes => Rows * RowBytes;

    /// <summary>Bytes that columns take, rounded down.</summary>
    public nint BytesOf(int columns) => (nint)columns * Codec.BytesPerBlock / Codec.WeightsPerBlock;

    /// <summary>What is added to every row of products with a matrix, <see cref="Rows"/> values; null for nothing.</summary>
    public float* Bias(nint number) => _biases == null ? null : _biases + (number * Rows);

    /// <summary>The first row of a matrix, as a kernel wants it.</summary>
    public byte* Matrix(nint number, ProductKernel kernel) =>
        kernel.IsPacked ? Packed!.Pointer + (number * Packed.MatrixBytes) : Matrix(number);

    /// <summary>The first row of a matrix.</summary>
    public byte* Matrix(nint number) => _pointer + (number * MatrixBytes);
}
