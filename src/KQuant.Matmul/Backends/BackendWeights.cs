using KQuant.Codecs;

namespace KQuant.Matmul.Backends;

/// <summary>Weights that a backend made ready. Belongs to that backend.</summary>
public abstract class BackendWeights : IDisposable
{
    /// <summary>Remembers what was uploaded.</summary>
    /// <param name="tensor">The weights.</param>
    protected BackendWeights(QuantizedTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        Tensor = tensor;
    }

    /// <summary>The weights that were uploaded.</summary>
    public QuantizedTensor Tensor { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the backend holds; the tensor stays.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected abstract void Dispose(bool disposing);
}
