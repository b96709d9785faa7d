namespace KQuant.Codecs.Files;

/// <summary>
/// A file that appears only when it is complete: written beside its place under a temporary name, renamed by <see cref="Commit"/>,
/// deleted by <see cref="Dispose"/> otherwise.
/// </summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporaryPath;
    private bool _committed;

    /// <summary>Creates the temporary file. The folder must exist.</summary>
    /// <param name="path">The final place; an existing file there is replaced on commit.</param>
    public OutputFile(string path)
    {
        _path = path;
        _temporaryPath = $"{path}.{Guid.NewGuid():N}.partial";
        Stream = new FileStream(_temporaryPath, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 20);
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>Flushes to the disk and moves the file to its place.</summary>
    public void Commit()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(_temporaryPath, _path, overwrite: true);
        _committed = true;
    }

    /// <summary>Deletes the temporary file unless it was committed.</summary>
    public void Dispose()
    {
        Stream.Dispose();
        if (!_committed)
        {
            File.Delete(_temporaryPath);
        }
    }
}
