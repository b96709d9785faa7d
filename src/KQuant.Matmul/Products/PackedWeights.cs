using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Memory for matrices as a packed kernel wants them, one behind the other.</summary>
internal sealed unsafe class PackedWeights(QuantShape shape, nint rowBytes, ProductKernel kernel) : IDisposable
{
    /// <summary>The kernel they are arranged for.</summary>
    public ProductKernel Kernel => kernel;

    /// <summary>How many matrices.</summary>
    public int Matrices => checked((int)shape.Experts);

    /// <summary>Bytes of one packed matrix.</summary>
    public nint MatrixBytes { get; } = (nint)RoundUp(shape.Rows, kernel.Granule) * rowBytes;

    /// <summary>Bytes of all that was reserved.</summary>
    public nint ByteCount { get; private set; }

    /// <summary>The memory; null until there is some.</summary>
    public NativeBlock? Memory { get; private set; }

    /// <summary>The first matrix; null until there is memory. For those who hold it.</summary>
    public byte* Pointer => Memory is null ? null : Memory.Pointer;

    /// <summary>Rows, rounded up to whole granules.</summary>
    public static long RoundUp(long rows, int granule) => (rows + granule - 1) / granule * granule;

    /// <summary>Gets the memory.</summary>
    public void Reserve()
    {
        nint bytes = checked((nint)shape.Experts * MatrixBytes);
        Memory = new NativeBlock(bytes);
        ByteCount = bytes;
    }

    /// <summary>Frees the memory when nobody holds it any more.</summary>
    public void Dispose() => Memory?.Dispose();
}
