namespace KQuant.Codecs.Files;

/// <summary>
/// The steps by which an output takes its place on the disk. All of them pass here, so that a test can end the process, as it were, before
/// each: an observer that throws from some step on leaves the disk as a kill at that step does.
/// </summary>
internal static class DiskSteps
{
    private static readonly AsyncLocal<Action<string>?> Observer = new();

    /// <summary>Called with a step and its path, before the step, on the thread that takes it; null for nobody.</summary>
    public static Action<string>? BeforeStep
    {
        set => Observer.Value = value;
    }

    public static void Flush(FileStream stream, string path)
    {
        Observer.Value?.Invoke($"flush {path}");
        stream.Flush(flushToDisk: true);
    }

    public static void MoveFile(string from, string to)
    {
        Observer.Value?.Invoke($"move file {from} to {to}");
        File.Move(from, to, overwrite: true);
    }

    public static void MoveFolder(string from, string to)
    {
        Observer.Value?.Invoke($"move folder {from} to {to}");
        Directory.Move(from, to);
    }

    public static void DeleteFile(string path)
    {
        Observer.Value?.Invoke($"delete file {path}");
        File.Delete(path);
    }

    public static void DeleteFolder(string path)
    {
        Observer.Value?.Invoke($"delete folder {path}");
        Directory.Delete(path, recursive: true);
    }

    public static void DeleteEmptyFolder(string path)
    {
        Observer.Value?.Invoke($"delete empty folder {path}");
        Directory.Delete(path);
    }
}
