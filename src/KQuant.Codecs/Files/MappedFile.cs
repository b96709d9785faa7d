using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A file mapped read-only, of any length. Offsets are checked here, once: nothing outside hands out bytes beyond the end.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _pointer;

    private MappedFile(string path, long length, MemoryMappedViewAccessor? view)
    {
        Path = path;
        Length = length;
        _view = view;
        if (view is not null)
        {
            byte* pointer = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            _pointer = pointer + view.PointerOffset;
        }
    }

    /// <summary>The path as the caller gave it.</summary>
    public string Path { get; }

    /// <summary>Length of the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>True after <see cref="Dispose"/>: the mapping is gone and its bytes must not be touched.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Maps a file.</summary>
    /// <exception cref="IOException">The file cannot be opened (not found, a directory, no permission).</exception>
    public static MappedFile Open(string path)
    {
        using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        long length = RandomAccess.GetLength(handle);
        if (length == 0)
        {
            return new MappedFile(path, 0, null);
        }

        using var map = MemoryMappedFile.CreateFromFile(
            handle, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        return new MappedFile(path, length, map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read));
    }

    /// <summary>Whether <paramref name="count"/> bytes at <paramref name="offset"/> lie inside the file.</summary>
    public bool Contains(long offset, long count) => offset >= 0 && count >= 0 && offset <= Length - count;

    /// <summary>Address of a byte range that lies inside the file.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    public byte* Pointer(long offset, long count)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (!Contains(offset, count))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"{count} bytes at {offset} do not lie inside {Path} ({Length} bytes).");
        }

        return _pointer + offset;
    }

    /// <summary>A byte range of at most 2 GiB that lies inside the file.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count) => new(Pointer(offset, count), count);

    public void Dispose()
    {
        if (IsDisposed)
        {
            return;
        }

        IsDisposed = true;
        if (_view is not null)
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
        }
    }
}
