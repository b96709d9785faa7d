using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A new file that is written. Unless it was flushed to the disk, closing it drops what waits in the buffer: on a full disk a stream tries to
/// write that once more when it is disposed, and throws again while whoever cleans up has not come to deleting the file. What goes wrong is
/// told with the name that the output will have, not with the temporary one.
/// </summary>
internal sealed class OutputStream : Stream
{
    private readonly string _path;
    private readonly string _shown;
    private readonly SafeFileHandle _handle;
    private readonly FileStream _stream;

    /// <param name="path">The file, which does not exist.</param>
    /// <param name="shown">The name that it will have.</param>
    /// <param name="share">What others may do to it meanwhile.</param>
    public OutputStream(string path, string shown, FileShare share = FileShare.None)
    {
        _path = path;
        _shown = shown;
        _handle = Get(share, static (file, share) => File.OpenHandle(file._path, FileMode.CreateNew, FileAccess.Write, share));
        _stream = new FileStream(_handle, FileAccess.Write, bufferSize: 1 << 20);
    }

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => _stream.CanSeek;

    /// <inheritdoc/>
    public override bool CanWrite => _stream.CanWrite;

    /// <inheritdoc/>
    public override long Length => _stream.Length;

    /// <inheritdoc/>
    public override long Position
    {
        get => _stream.Position;
        set => Seek(value, SeekOrigin.Begin);
    }

    /// <summary>Puts everything onto the disk.</summary>
    public void FlushToDisk() => Try(0, static (file, _) => DiskSteps.Flush(file._stream, file._path));

    /// <inheritdoc/>
    public override void Flush() => Try(0, static (file, _) => file._stream.Flush());

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        Write(buffer.AsSpan(offset, count));
    }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer) => Try(buffer, static (file, buffer) => file._stream.Write(buffer));

    /// <inheritdoc/>
    public override void WriteByte(byte value) => Write([value]);

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) =>
        Get((offset, origin), static (file, to) => file._stream.Seek(to.offset, to.origin));

    /// <inheritdoc/>
    public override void SetLength(long value) => Try(value, static (file, value) => file._stream.SetLength(value));

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _handle.Dispose();
            _stream.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Try<TState>(TState state, Action<OutputStream, TState> step)
        where TState : allows ref struct
    {
        try
        {
            step(this, state);
        }
        catch (Exception exception) when (OutputPlace.IsOfDisk(exception))
        {
            throw OutputPlace.Named(exception, _path, _shown);
        }
    }

    private TResult Get<TState, TResult>(TState state, Func<OutputStream, TState, TResult> step)
    {
        TResult result = default!;
        Try(state, (file, state) => { result = step(file, state); });
        return result;
    }
}
