using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>Whether something can be written at a path, and what an output that was killed has left there.</summary>
internal static class OutputPlace
{
    /// <summary>The end of the name of a file or folder that is not complete.</summary>
    public const string Partial = ".partial";

    /// <summary>A name for an output on its way to a path, in the same folder.</summary>
    public static string Beside(string path, string id, string end) => $"{path}.{id}{end}";

    /// <summary>What tells the outputs of two processes at the same path apart.</summary>
    public static string NewId() => Guid.NewGuid().ToString("N");

    /// <summary>Refuses what is no place for a file.</summary>
    /// <exception cref="IOException">It is a folder, a device, a pipe or a socket, or lies below a file.</exception>
    public static void CheckFile(string path)
    {
        if (Directory.Exists(path))
        {
            throw new IOException($"{path} is a folder; a file is to be written.");
        }

        FileKind kind = FileKinds.Get(path);
        if (kind is not (FileKind.Missing or FileKind.Regular))
        {
            throw new IOException($"{path} is {FileKinds.Describe(kind)}; a file is to be written.");
        }

        CheckAbove(path);
    }

    /// <summary>Refuses what is no place for a folder.</summary>
    /// <exception cref="IOException">It is a file, or lies below one.</exception>
    public static void CheckFolder(string path)
    {
        FileKind kind = FileKinds.Get(path);
        if (kind is not (FileKind.Missing or FileKind.Folder))
        {
            throw new IOException($"{path} is {FileKinds.Describe(kind)}; a folder is to be written.");
        }

        CheckAbove(path);
    }

    /// <summary>The identifiers of the outputs at a path that have something with the given end beside it.</summary>
    public static IEnumerable<string> FindIds(string path, string end)
    {
        string full = Path.GetFullPath(path), name = Path.GetFileName(full) + ".";
        string? folder = Path.GetDirectoryName(full);
        if (folder is null || !Directory.Exists(folder))
        {
            yield break;
        }

        foreach (string file in Directory.EnumerateFiles(folder).Select(file => Path.GetFileName(file)!))
        {
            if (file.StartsWith(name, StringComparison.Ordinal) && file.EndsWith(end, StringComparison.Ordinal)
                && file.Length == name.Length + 32 + end.Length && Guid.TryParseExact(file.AsSpan(name.Length, 32), "N", out _))
            {
                yield return file.Substring(name.Length, 32);
            }
        }
    }

    /// <summary>
    /// Whether the process that created a file has ended without deleting it: while it lives, it holds the file open, and nobody else can
    /// have it for himself.
    /// </summary>
    public static bool IsAbandoned(string path)
    {
        try
        {
            using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It is in use, has just been deleted, or belongs to someone else.
            return false;
        }
    }

    /// <summary>
    /// Whether an exception is the system's word about a file; .NET says by an argument that is out of its range that one becomes larger
    /// than a limit (EFBIG).
    /// </summary>
    public static bool IsOfDisk(Exception exception) => exception is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    /// <summary>The same exception about the output instead of the file that it is for the time being.</summary>
    /// <param name="exception">What <see cref="IsOfDisk"/> says yes to.</param>
    /// <param name="temporary">The path that was used.</param>
    /// <param name="shown">The path that was asked for.</param>
    public static Exception Named(Exception exception, string temporary, string shown)
    {
        string message = exception switch
        {
            FileNotFoundException or DirectoryNotFoundException => $"{shown} cannot be created: its folder takes no new files, or does not exist.",
            ArgumentOutOfRangeException => $"{shown} becomes larger than the system lets a file be here.",
            _ => exception.Message
                .Replace(Path.GetFullPath(temporary), shown, StringComparison.Ordinal)
                .Replace(temporary, shown, StringComparison.Ordinal),
        };
        message = message.Contains(shown, StringComparison.Ordinal) ? message : $"{shown}: {message}";
        return exception is UnauthorizedAccessException
            ? new UnauthorizedAccessException(message, exception)
            : new IOException(message, exception) { HResult = exception.HResult };
    }

    private static void CheckAbove(string path)
    {
        string? above = Path.GetDirectoryName(Path.GetFullPath(path));
        while (above is not null && !Directory.Exists(above))
        {
            if (File.Exists(above))
            {
                throw new IOException($"{path} lies below {above}, which is a file.");
            }

            above = Path.GetDirectoryName(above);
        }
    }
}
