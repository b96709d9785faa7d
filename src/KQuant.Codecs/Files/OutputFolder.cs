namespace KQuant.Codecs.Files;

/// <summary>
/// A folder of files that appear together: all are written under a temporary folder and put into place by <see cref="Commit"/>. A new
/// folder appears by one rename. In a folder that exists already, files are renamed one by one, and old weights that do not belong to the
/// new set are removed, so that no reader mixes two models.
/// </summary>
internal sealed class OutputFolder : IDisposable
{
    private readonly string _path;
    private readonly string _staging;
    private readonly bool _isNew;
    private readonly HashSet<string> _files = [];

    /// <summary>Creates the temporary folder.</summary>
    /// <param name="path">The final place.</param>
    /// <param name="overwrite">Whether the folder may hold files already; those that the new model has too are replaced.</param>
    /// <exception cref="IOException">The path is a file, or a folder with content and <paramref name="overwrite"/> is false.</exception>
    public OutputFolder(string path, bool overwrite)
    {
        _path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        _isNew = !Directory.Exists(_path);
        if (File.Exists(_path))
        {
            throw new IOException($"{path} is a file; a folder is to be written.");
        }

        if (!_isNew && !overwrite && Directory.EnumerateFileSystemEntries(_path).Any())
        {
            throw new IOException($"{path} exists and is not empty.");
        }

        _staging = _isNew ? $"{_path}.{Guid.NewGuid():N}.partial" : Path.Combine(_path, $".{Guid.NewGuid():N}.partial");
        Directory.CreateDirectory(_staging);
    }

    /// <summary>Writes one file and flushes it to the disk.</summary>
    /// <param name="name">Path below the folder.</param>
    /// <param name="write">Gives its content.</param>
    public void Write(string name, Action<FileStream> write)
    {
        string path = Path.Combine(_staging, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 20);
        write(stream);
        stream.Flush(flushToDisk: true);
        _files.Add(name);
    }

    /// <summary>Whether a file of that name was written.</summary>
    public bool Contains(string name) => _files.Contains(name);

    /// <summary>Puts all files into place.</summary>
    public void Commit()
    {
        if (_isNew)
        {
            Directory.Move(_staging, _path);
            return;
        }

        // Without an index a reader that comes too early sees an incomplete set of shards, which it refuses.
        File.Delete(Path.Combine(_path, SafetensorsFile.IndexName));
        foreach (string stale in Directory.GetFiles(_path, "model*.safetensors").Where(file => !_files.Contains(Path.GetFileName(file))))
        {
            File.Delete(stale);
        }

        foreach (string name in _files.OrderBy(name => name == SafetensorsFile.IndexName))
        {
            string target = Path.Combine(_path, name);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Move(Path.Combine(_staging, name), target, overwrite: true);
        }
    }

    /// <summary>Deletes what was not committed.</summary>
    public void Dispose()
    {
        if (Directory.Exists(_staging))
        {
            Directory.Delete(_staging, recursive: true);
        }
    }
}
