using System.Formats.Tar;

namespace KQuant.Codecs.Files;

/// <summary>Tells files from pipes, devices and sockets without opening them, because opening a pipe waits for its other end.</summary>
internal static class FileKinds
{
    /// <summary>What a path leads to, through links.</summary>
    public static FileKind Get(string path)
    {
        if (Directory.Exists(path))
        {
            return FileKind.Folder;
        }

        var file = new FileInfo(path);
        if (!file.Exists)
        {
            return FileKind.Missing;
        }

        if (OperatingSystem.IsWindows())
        {
            return file.Attributes.HasFlag(FileAttributes.Device) ? FileKind.Device : FileKind.Regular;
        }

        string real = LinkResolver.RealPath(path);

        // Nothing but a file and a folder has a length. A link may lead nowhere.
        return !File.Exists(real) ? FileKind.Missing : new FileInfo(real).Length > 0 ? FileKind.Regular : GetOfEmpty(real);
    }

    /// <summary>A kind in words, with its article.</summary>
    public static string Describe(FileKind kind) => kind switch
    {
        FileKind.Folder => "a folder",
        FileKind.Pipe => "a pipe",
        FileKind.Device => "a device",
        FileKind.Socket => "a socket",
        _ => "a file",
    };

    /// <summary>Refuses to read what is no file.</summary>
    /// <exception cref="IOException">It is a pipe, a device or a socket.</exception>
    public static void CheckReadable(string path)
    {
        FileKind kind = Get(path);
        if (kind is FileKind.Pipe or FileKind.Device or FileKind.Socket)
        {
            throw new IOException($"{path} is {Describe(kind)}; it is read at any place and must be a file.");
        }
    }

    /// <summary>
    /// .NET has no call that tells the kind, but the writer of tape archives finds it out, and does not open what it archives as a mere
    /// name. An empty file is all that it could read here.
    /// </summary>
    private static FileKind GetOfEmpty(string path)
    {
        using var buffer = new MemoryStream();
        try
        {
            using (var writer = new TarWriter(buffer, TarEntryFormat.Pax, leaveOpen: true))
            {
                writer.WriteEntry(path, "entry");
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Archives have no sockets. Whatever else goes wrong does so again, with a better message, when the file is opened.
            return exception is IOException and not FileNotFoundException and not DirectoryNotFoundException ? FileKind.Socket : FileKind.Regular;
        }

        buffer.Position = 0;
        using var reader = new TarReader(buffer);
        return reader.GetNextEntry()?.EntryType switch
        {
            TarEntryType.Fifo => FileKind.Pipe,
            TarEntryType.CharacterDevice or TarEntryType.BlockDevice => FileKind.Device,
            _ => FileKind.Regular,
        };
    }
}
