using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A new file that is written. Unless it was flushed, closing it drops what waits in the buffer: on a full disk a stream tries to write
/// that once more when it is disposed, and throws again while whoever cleans up has not come to deleting the file.
/// </summary>
internal sealed class OutputStream : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _handle;

    /// <param name="path">The file, which does not exist.</param>
    /// <param name="share">What others may do to it meanwhile.</param>
    public OutputStream(string path, FileShare share = FileShare.None)
    {
        _path = path;
        _handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, share);
        Stream = new FileStream(_handle, FileAccess.Write, bufferSize: 1 << 20);
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>Puts everything onto the disk.</summary>
    public void Flush() => DiskSteps.Flush(Stream, _path);

    public void Dispose()
    {
        _handle.Dispose();
        Stream.Dispose();
    }
}
