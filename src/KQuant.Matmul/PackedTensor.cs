using KQuant.Codecs;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

/// <summary>
/// Weights arranged once, at load, as the machine's kernels want them, for callers who multiply by them all day. It is a copy of about
/// the size of the wire bytes (rows are rounded up to the kernel's granule, up to 32), next to the tensor it was made from, which serves
/// gradients, float32 products and other machines' tiers and must stay alive. The results are those of products with the tensor, to the last bit
/// where <see cref="MatmulOptions.Deterministic"/> is set.
/// </summary>
public sealed unsafe class PackedTensor : IDisposable
{
    private volatile bool _disposed;

    private PackedTensor(QuantizedTensor weights, ProductKernel? kernel)
    {
        Weights = weights;
        Packed = kernel is null ? null : new PackedWeights(weights.Shape, (nint)weights.RowByteCount, kernel);
    }

    /// <summary>The tensor it was made from.</summary>
    public QuantizedTensor Weights { get; }

    /// <summary>Bytes of the copy; 0 when this machine has no arrangement of its own for the format, and products use the tensor.</summary>
    public long ByteCount => Packed?.ByteCount ?? 0;

    /// <summary>The instruction set the arrangement is for, or null without one.</summary>
    public KernelTier? Tier => Kernel?.Tier;

    internal ProductKernel? Kernel => Packed?.Kernel;

    /// <summary>The copy; null without an arrangement.</summary>
    internal PackedWeights? Packed { get; }

    /// <summary>Arranges weights.</summary>
    /// <param name="weights">A matrix or a stack of them. Formats without packed kernels (F32, F16, BF16) are accepted and left as they are.</param>
    /// <param name="context">Threads; its options choose the instruction set.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>The arranged weights; dispose them before the tensor.</returns>
    /// <exception cref="ObjectDisposedException">The weights or the context were disposed.</exception>
    /// <exception cref="OutOfMemoryException">There is no memory for the copy.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <example>
    /// <code>
    /// using PackedTensor packed = PackedTensor.Pack(weights, context);   // once
    /// QuantizedMatmul.Multiply(packed, x, y, context);                   // then again and again, for a few rows each time
    /// </code>
    /// </example>
    public static PackedTensor Pack(QuantizedTensor weights, MatmulContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(context);
        context.ThrowIfDisposed();
        var packed = new PackedTensor(weights, context.SelectPacked(weights.Codec));
        using TensorLease lease = weights.Acquire();
        fixed (byte* source = &lease.Codes)
        {
            if (packed.Packed is not { } copy || weights.ByteCount == 0)
            {
                return packed;
            }

            Workspace workspace = context.Rent();
            try
            {
                copy.Reserve();
                workspace.Pack(new WeightStack(weights, new PlanePointers(source)), copy, cancellationToken);
                return packed;
            }
            catch
            {
                packed.Dispose();
                throw;
            }
            finally
            {
                context.Return(workspace);
            }
        }
    }

    /// <summary>Frees the copy when the products that are running have ended; later ones throw. The tensor is left alone.</summary>
    public void Dispose()
    {
        _disposed = true;
        Packed?.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Kernel is null ? $"{Weights}" : $"{Weights} packed for {Tier}";

    /// <summary>The copy for one product; nothing for no tensor.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    internal static PackedLease Acquire(PackedTensor? tensor)
    {
        ObjectDisposedException.ThrowIf(tensor is { _disposed: true }, typeof(PackedTensor));
        return new PackedLease(tensor?.Packed);
    }
}
