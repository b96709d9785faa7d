using System.Runtime.InteropServices;

namespace KQuant.TestKit;

/// <summary>
/// Memory between two pages that may not be touched: one byte read or written in front of it or behind it ends the process instead of
/// going unnoticed. What lies between the memory and the pages is filled with a pattern that <see cref="Dispose"/> checks.
/// </summary>
public sealed unsafe partial class GuardedBuffer : IDisposable
{
    private const byte Pattern = 0xA5;

    private readonly byte* _base;
    private readonly nint _mapped;
    private readonly nint _dataPages;

    /// <summary>Takes memory.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="atEnd">Whether the memory touches the page behind it or the one in front of it.</param>
    /// <param name="distance">Bytes between the memory and that page, for odd addresses.</param>
    public GuardedBuffer(int length, bool atEnd = true, int distance = 0)
    {
        nint page = Environment.SystemPageSize;
        _dataPages = (Math.Max(length + distance, 1) + page - 1) / page * page;
        _mapped = _dataPages + (2 * page);
        _base = Map(_mapped);
        Protect(_base, page);
        Protect(_base + page + _dataPages, page);
        Pages.Fill(Pattern);
        Length = length;
        Start = atEnd ? _base + page + _dataPages - length - distance : _base + page + distance;
    }

    /// <summary>Whether this machine lets a program protect pages; a test that needs them is ignored otherwise.</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() || OperatingSystem.IsMacOS() || OperatingSystem.IsWindows();

    /// <summary>The first byte.</summary>
    public byte* Start { get; }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The memory as tensors take it; it stays this object's.</summary>
    public SafeBuffer Buffer => new Borrowed(Start, Length);

    /// <summary>The memory.</summary>
    public Span<byte> Span => new(Start, Length);

    private Span<byte> Pages => new(_base + Environment.SystemPageSize, checked((int)_dataPages));

    /// <summary>Gives the memory back.</summary>
    /// <exception cref="InvalidOperationException">Bytes beside the memory were written.</exception>
    public void Dispose()
    {
        int offset = (int)(Start - _base) - Environment.SystemPageSize;
        bool untouched = !Pages[..offset].ContainsAnyExcept(Pattern) && !Pages[(offset + Length)..].ContainsAnyExcept(Pattern);
        Unmap(_base, _mapped);
        if (!untouched)
        {
            throw new InvalidOperationException("Bytes beside a guarded buffer were written.");
        }
    }

    private static byte* Map(nint length)
    {
        if (OperatingSystem.IsWindows())
        {
            const uint CommitAndReserve = 0x3000, ReadWrite = 0x04;
            byte* pages = (byte*)VirtualAlloc(null, (nuint)length, CommitAndReserve, ReadWrite);
            return pages is not null ? pages : throw new InvalidOperationException($"VirtualAlloc of {length} bytes failed.");
        }

        const int ReadAndWrite = 3, Private = 2;
        int anonymous = OperatingSystem.IsMacOS() ? 0x1000 : 0x20;
        byte* mapped = (byte*)mmap(null, (nuint)length, ReadAndWrite, Private | anonymous, -1, 0);
        return (nint)mapped != -1 ? mapped : throw new InvalidOperationException($"mmap of {length} bytes failed.");
    }

    private static void Protect(byte* page, nint length)
    {
        const uint WindowsNoAccess = 0x01;
        bool done = OperatingSystem.IsWindows()
            ? VirtualProtect(page, (nuint)length, WindowsNoAccess, out _) != 0
            : mprotect(page, (nuint)length, 0) == 0;
        if (!done)
        {
            throw new InvalidOperationException("A guard page could not be protected.");
        }
    }

    private static void Unmap(byte* pages, nint length)
    {
        const uint Release = 0x8000;
        _ = OperatingSystem.IsWindows() ? VirtualFree(pages, 0, Release) : munmap(pages, (nuint)length);
    }

#pragma warning disable IDE1006, SYSLIB1092, CA5392 // Names and places of the operating system's own functions.
    [LibraryImport("libc")]
    private static partial void* mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc")]
    private static partial int mprotect(void* address, nuint length, int protection);

    [LibraryImport("libc")]
    private static partial int munmap(void* address, nuint length);

    [LibraryImport("kernel32")]
    private static partial void* VirtualAlloc(void* address, nuint length, uint type, uint protection);

    [LibraryImport("kernel32")]
    private static partial int VirtualProtect(void* address, nuint length, uint protection, out uint previous);

    [LibraryImport("kernel32")]
    private static partial int VirtualFree(void* address, nuint length, uint type);
#pragma warning restore IDE1006, SYSLIB1092, CA5392

    private sealed class Borrowed : SafeBuffer
    {
        public Borrowed(byte* start, int length)
            : base(ownsHandle: false)
        {
            SetHandle((nint)start);
            Initialize((ulong)length);
        }

        protected override bool ReleaseHandle() => true;
    }
}
