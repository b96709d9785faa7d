using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using CommunityToolkit.HighPerformance.Buffers;
using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A file mapped read-only, of any length. Offsets are checked here, once: nothing outside hands out bytes beyond the end.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private const int PageSize = 4096;

    private static readonly AsyncLocal<bool> ReadsWhole = new();

    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _pointer;
    private byte* _copy;

    private MappedFile(string path, SafeFileHandle handle, long length, MemoryMappedViewAccessor? view)
    {
        Path = path;
        Length = length;
        _handle = handle;
        _view = view;
        if (view is not null)
        {
            byte* pointer = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            _pointer = pointer + view.PointerOffset;
        }
    }

    private MappedFile(string path, SafeFileHandle handle, long length, byte* copy)
        : this(path, handle, length, view: null) => _pointer = _copy = copy;

    ~MappedFile() => FreeCopy();

    /// <summary>The path as the caller gave it.</summary>
    public string Path { get; }

    /// <summary>Length of the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>True after <see cref="Dispose"/>: the mapping is gone and its bytes must not be touched.</summary>
    public bool IsDisposed { get; private set; }

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

    /// <summary>Address of a byte range that lies inside the file.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    public byte* Pointer(long offset, long count)
    {
        CheckRange(offset, count);
        return _pointer + offset;
    }

    /// <summary>A byte range of at most 2 GiB that lies inside the file.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count) => new(Pointer(offset, count), count);

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

    public void Dispose()
    {
        if (IsDisposed)
        {
            return;
        }

        IsDisposed = true;
        _handle.Dispose();
        FreeCopy();
        GC.SuppressFinalize(this);
        if (_view is not null)
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
        }
    }

    /// <summary>Whole pages, because some readers touch the rest of the last one of a mapping.</summary>
    private static MappedFile ReadAll(string path, SafeFileHandle handle, long length)
    {
        nuint bytes = (nuint)checked((length + PageSize - 1) / PageSize * PageSize);
        var file = new MappedFile(path, handle, length, (byte*)NativeMemory.AlignedAlloc(bytes, PageSize));
        try
        {
            for (long offset = 0; offset < length;)
            {
                int count = (int)Math.Min(1 << 26, length - offset);
                file.Read(offset, new Span<byte>(file._copy + offset, count));
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

    private void FreeCopy()
    {
        NativeMemory.AlignedFree(_copy);
        _copy = null;
    }

    private void CheckRange(long offset, long count)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (!Contains(offset, count))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"{count} bytes at {offset} do not lie inside {Path} ({Length} bytes).");
        }
    }
}
