using System.Text;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>Files that are read at once, such as texts and JSON: nothing that waits for somebody, and nothing without an end.</summary>
internal static class WholeFile
{
    private const int Step = 1 << 16;

    /// <summary>The bytes of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="most">The most bytes that are read.</param>
    /// <exception cref="ModelFormatException">There are more.</exception>
    /// <exception cref="IOException">It is a pipe, a device or a socket, or cannot be read.</exception>
    public static ReadOnlyMemory<byte> Read(string path, int most)
    {
        FileKinds.CheckReadable(path);
        using SafeFileHandle handle = File.OpenHandle(path);
        long length = RandomAccess.GetLength(handle);
        Check(path, length, most);

        // A byte more than there should be: some files of the system have no length, and any may grow.
        byte[] bytes = new byte[Math.Max(length + 1, Step)];
        int count = 0;
        while (RandomAccess.Read(handle, bytes.AsSpan(count), count) is > 0 and int read)
        {
            count += read;
            Check(path, count, most);
            if (count == bytes.Length)
            {
                Array.Resize(ref bytes, (int)Math.Min(2L * count, (long)most + 1));
            }
        }

        return bytes.AsMemory(0, count);
    }

    /// <summary>The bytes of a text in UTF-8, without the mark at its beginning.</summary>
    /// <param name="path">The file.</param>
    /// <param name="most">The most bytes that are read.</param>
    /// <exception cref="ModelFormatException">There are more, or it is not valid UTF-8.</exception>
    /// <exception cref="IOException">It is a pipe, a device or a socket, or cannot be read.</exception>
    public static ReadOnlyMemory<byte> ReadUtf8(string path, int most)
    {
        ReadOnlyMemory<byte> bytes = Read(path, most);
        bytes = bytes.Span.StartsWith(Encoding.UTF8.Preamble) ? bytes[Encoding.UTF8.Preamble.Length..] : bytes;
        return Utf8.IsValid(bytes.Span) ? bytes : throw new ModelFormatException(path, "the file is not valid UTF-8");
    }

    private static void Check(string path, long length, int most)
    {
        if (length > most)
        {
            throw new ModelFormatException(path, $"the file is longer than {most} bytes, the most that is read");
        }
    }
}
