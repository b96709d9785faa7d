using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using CommunityToolkit.HighPerformance.Buffers;
using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A file mapped read-only, of any length. Offsets are checked here, once: nothing outside hands out bytes beyond the end. The mapping is a
/// counted handle: it goes when the file was disposed, or collected, and the last one who reads has ended.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private static readonly AsyncLocal<bool> ReadsWhole = new();

    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly SafeBuffer? _bytes;
    private readonly long _start;
    private volatile bool _disposed;

    private MappedFile(string path, SafeFileHandle handle, long length, MemoryMappedViewAccessor? view)
    {
        Path = path;
        Length = length;
        _handle = handle;
        _view = view;
        _bytes = view?.SafeMemoryMappedViewHandle;
        _start = view?.PointerOffset ?? 0;
    }

    private MappedFile(string path, SafeFileHandle handle, long length, NativeBlock copy)
        : this(path, handle, length, view: null) => _bytes = copy;

    /// <summary>The path as the caller gave it.</summary>
    public string Path { get; }

    /// <summary>Length of the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>
    /// Opens a model with its files read into memory instead of mapped: a process that touches a page of a file that someone else has cut
    /// off meanwhile is killed, and one that has its own copy is not.
    /// </summary>
    /// <typeparam name="T">What is opened.</typeparam>
    /// <param name="isWanted">Whether to do so at all.</param>
    /// <param name="open">Opens it.</param>
    public static T WithoutMapping<T>(bool isWanted, Func<T> open)
    {
        bool before = ReadsWhole.Value;
        ReadsWhole.Value = before || isWanted;
        try
        {
            return open();
        }
        finally
        {
            ReadsWhole.Value = before;
        }
    }

    /// <summary>Maps a file.</summary>
    /// <exception cref="IOException">The file cannot be opened (not found, a directory, a pipe or device, no permission).</exception>
    public static MappedFile Open(string path)
    {
        FileKinds.CheckReadable(path);
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            long length = RandomAccess.GetLength(handle);
            if (length == 0)
            {
                return new MappedFile(path, handle, 0, view: null);
            }

            if (ReadsWhole.Value)
            {
                return ReadAll(path, handle, length);
            }

            using var map = MemoryMappedFile.CreateFromFile(
                handle, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            return new MappedFile(path, handle, length, map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Whether <paramref name="count"/> bytes at <paramref name="offset"/> lie inside the file.</summary>
    public bool Contains(long offset, long count) => offset >= 0 && count >= 0 && offset <= Length - count;

    /// <summary>
    /// A byte range of at most 2 GiB that lies inside the file, as long as nobody disposes it or lets it be collected: for those who opened
    /// the file and have not handed it out yet. Everyone else uses <see cref="Acquire"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie inside.</exception>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    public ReadOnlySpan<byte> UnsafeBytes(long offset, int count)
    {
        CheckRange(offset, count);
        return count == 0 ? default : new ReadOnlySpan<byte>((byte*)_bytes!.DangerousGetHandle() + _start + offset, count);
    }

    /// <summary>A byte range of at most 2 GiB that lies inside the file, which stays until it is given back.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie inside.</exception>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    public HeldBytes Acquire(long offset, int count)
    {
        CheckRange(offset, count);
        return count == 0 ? default : new HeldBytes(_bytes!, _start + offset, count);
    }

    /// <summary>A view of a byte range that lies inside the file, for a tensor.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie inside.</exception>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    public TensorPlane Plane(long offset, long count)
    {
        CheckRange(offset, count);
        return _bytes is null ? default : TensorPlane.FromBuffer(_bytes, _start + offset, count);
    }

    /// <summary>
    /// Copies bytes by reading the file. The mapping stays untouched, so that running through a file larger than memory leaves none of its
    /// pages resident in this process.
    /// </summary>
    /// <exception cref="IOException">The file cannot be read, or became shorter.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        CheckRange(offset, destination.Length);
        while (!destination.IsEmpty)
        {
            int count = RandomAccess.Read(_handle, destination, offset);
            if (count == 0)
            {
                throw new IOException($"{Path} became shorter while it was read: it ends at byte {offset}, not at {Length}.");
            }

            destination = destination[count..];
            offset += count;
        }
    }

    /// <summary>Decodes weights by reading the file; see <see cref="Read"/>.</summary>
    /// <param name="offset">Where the first block begins.</param>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="destination">Filled completely; whole blocks.</param>
    public void Decode(long offset, QuantCodec codec, Span<float> destination)
    {
        const int BufferBytes = 1 << 16;
        using SpanOwner<byte> buffer = SpanOwner<byte>.Allocate((int)Math.Min(codec.GetByteCount(destination.Length), BufferBytes));
        int weightsPerTurn = buffer.Length / codec.BytesPerBlock * codec.WeightsPerBlock;
        while (!destination.IsEmpty)
        {
            int weights = Math.Min(weightsPerTurn, destination.Length);
            Span<byte> bytes = buffer.Span[..(int)codec.GetByteCount(weights)];
            Read(offset, bytes);
            codec.Decode(bytes, destination[..weights]);
            destination = destination[weights..];
            offset += bytes.Length;
        }
    }

    /// <summary>Closes the file. The mapping goes when nobody reads it any more.</summary>
    public void Dispose()
    {
        _disposed = true;
        _handle.Dispose();
        _bytes?.Dispose();
        _view?.Dispose();
    }

    /// <summary>Whole pages, because some readers touch the rest of the last one of a mapping.</summary>
    private static MappedFile ReadAll(string path, SafeFileHandle handle, long length)
    {
        var copy = new NativeBlock(length, wholePages: true);
        var file = new MappedFile(path, handle, length, copy);
        try
        {
            for (long offset = 0; offset < length;)
            {
                int count = (int)Math.Min(1 << 26, length - offset);
                file.Read(offset, new Span<byte>(copy.Pointer + offset, count));
                offset += count;
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void CheckRange(long offset, long count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!Contains(offset, count))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"{count} bytes at {offset} do not lie inside {Path} ({Length} bytes).");
        }
    }
}
