namespace KQuant.Matmul.Backends;

/// <summary>Floats in memory that a backend reaches without a copy. Belongs to that backend.</summary>
public abstract class BackendBuffer : IDisposable
{
    /// <summary>Remembers the length.</summary>
    /// <param name="length">How many floats, at least 1.</param>
    protected BackendBuffer(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        Length = length;
    }

    /// <summary>How many floats.</summary>
    public int Length { get; }

    /// <summary>The floats. Not to be touched while a product that uses them is queued.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public abstract Span<float> Values { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the memory.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected abstract void Dispose(bool disposing);
}
