using System.Runtime.InteropServices;

namespace KQuant.Matmul.Products;

/// <summary>Packed weights for the length of one product: their memory is there until the last lease ends.</summary>
internal readonly ref struct PackedLease : IDisposable
{
    private readonly SafeHandle? _memory;

    /// <summary>Takes hold.</summary>
    /// <param name="weights">The weights; null for none.</param>
    /// <exception cref="ObjectDisposedException">They were disposed.</exception>
    public PackedLease(PackedWeights? weights)
    {
        bool added = false;
        weights?.Memory?.DangerousAddRef(ref added);
        _memory = added ? weights!.Memory : null;
        Weights = weights;
    }

    /// <summary>The weights.</summary>
    public PackedWeights? Weights { get; }

    /// <summary>Lets go. Once.</summary>
    public void Dispose() => _memory?.DangerousRelease();
}
