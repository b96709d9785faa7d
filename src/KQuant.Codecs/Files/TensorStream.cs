namespace KQuant.Codecs.Files;

/// <summary>
/// The part of an output file that one tensor fills. It counts what a callback writes, refuses more than the tensor has, reports progress
/// and is where a cancelled write stops.
/// </summary>
internal sealed class TensorStream(
    Stream output, string name, long length, IProgress<long>? progress, CancellationToken cancellationToken) : Stream
{
    private const int ReportEvery = 1 << 18;

    private long _reported;
    private long _written;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => length;

    public override long Position
    {
        get => _written;
        set => throw new NotSupportedException();
    }

    /// <summary>Ends the tensor.</summary>
    /// <exception cref="InvalidOperationException">Bytes are missing.</exception>
    public void Complete()
    {
        if (_written != length)
        {
            throw new InvalidOperationException($"Tensor '{name}' has {length} bytes, but only {_written} were written.");
        }

        progress?.Report(_written - _reported);
        _reported = _written;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (buffer.Length > length - _written)
        {
            throw new InvalidOperationException($"Tensor '{name}' has {length} bytes, but {_written + buffer.Length} were written.");
        }

        output.Write(buffer);
        _written += buffer.Length;
        if (_written - _reported >= ReportEvery)
        {
            progress?.Report(_written - _reported);
            _reported = _written;
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
