using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>Bytes that stay readable until they are given back.</summary>
internal readonly unsafe ref struct HeldBytes : IDisposable
{
    private readonly SafeBuffer? _held;

    /// <summary>Bytes of a buffer.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public HeldBytes(SafeBuffer buffer, long offset, int count)
    {
        byte* pointer = null;
        buffer.AcquirePointer(ref pointer);
        _held = buffer;
        Span = new ReadOnlySpan<byte>(pointer + offset, count);
    }

    private HeldBytes(SafeBuffer? held, ReadOnlySpan<byte> bytes)
    {
        _held = held;
        Span = bytes;
    }

    /// <summary>Managed bytes, which stay anyway.</summary>
    public HeldBytes(ReadOnlySpan<byte> bytes) => Span = bytes;

    /// <summary>The bytes.</summary>
    public ReadOnlySpan<byte> Span { get; }

    /// <summary>A part, to be given back in place of the whole.</summary>
    public HeldBytes Slice(Range range) => new(_held, Span[range]);

    /// <summary>Gives them back. Once.</summary>
    public void Dispose() => _held?.ReleasePointer();
}
