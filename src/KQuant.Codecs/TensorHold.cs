using System.Runtime.InteropServices;

namespace KQuant.Codecs;

/// <summary>Keeps native memory of a tensor until it is disposed, for those whose operations outlast a call.</summary>
internal sealed class TensorHold : IDisposable
{
    private SafeHandle[]? _held;

    /// <summary>Takes hold.</summary>
    /// <param name="handles">Each is acquired once.</param>
    /// <exception cref="ObjectDisposedException">One was disposed.</exception>
    public TensorHold(params ReadOnlySpan<SafeHandle?> handles)
    {
        var held = new List<SafeHandle>();
        try
        {
            foreach (SafeHandle? handle in handles)
            {
                bool added = false;
                handle?.DangerousAddRef(ref added);
                if (added)
                {
                    held.Add(handle!);
                }
            }
        }
        catch
        {
            held.ForEach(handle => handle.DangerousRelease());
            throw;
        }

        _held = [.. held];
    }

    public void Dispose()
    {
        foreach (SafeHandle handle in Interlocked.Exchange(ref _held, null) ?? [])
        {
            handle.DangerousRelease();
        }
    }
}
