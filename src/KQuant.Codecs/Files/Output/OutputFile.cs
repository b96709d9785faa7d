namespace KQuant.Codecs.Files;

/// <summary>
/// A file that appears only when it is complete: written beside its place under a temporary name, renamed by <see cref="Commit"/>,
/// deleted by <see cref="Dispose"/> otherwise. What a killed process left of the same file is deleted by the next one.
/// </summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporaryPath;
    private readonly OutputStream _output;
    private bool _committed;

    /// <summary>Creates the temporary file. The folder must exist.</summary>
    /// <param name="path">The final place; an existing file there is replaced on commit.</param>
    /// <exception cref="IOException">The place is a folder, a device, a pipe or a socket, or the file cannot be created.</exception>
    public OutputFile(string path)
    {
        OutputPlace.CheckFile(path);
        foreach (string id in OutputPlace.FindIds(path, OutputPlace.Partial))
        {
            string left = OutputPlace.Beside(path, id, OutputPlace.Partial);
            if (OutputPlace.IsAbandoned(left))
            {
                DiskSteps.DeleteFile(left);
            }
        }

        _path = path;
        _temporaryPath = OutputPlace.Beside(path, OutputPlace.NewId(), OutputPlace.Partial);

        // It is renamed while it is open: closed, it would look abandoned for a moment.
        _output = new OutputStream(_temporaryPath, path, FileShare.Delete);
    }

    /// <summary>Where to write.</summary>
    public Stream Stream => _output;

    /// <summary>Flushes to the disk and moves the file to its place.</summary>
    public void Commit()
    {
        _output.FlushToDisk();
        try
        {
            DiskSteps.MoveFile(_temporaryPath, _path);
        }
        catch (Exception exception) when (OutputPlace.IsOfDisk(exception))
        {
            throw OutputPlace.Named(exception, _temporaryPath, _path);
        }

        _committed = true;
    }

    /// <summary>Deletes the temporary file unless it was committed.</summary>
    public void Dispose()
    {
        _output.Dispose();
        if (!_committed)
        {
            DiskSteps.DeleteFile(_temporaryPath);
        }
    }
}
