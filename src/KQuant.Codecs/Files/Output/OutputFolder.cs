namespace KQuant.Codecs.Files;

/// <summary>
/// A folder of files that appear together: all are written into a temporary folder beside it, which <see cref="Commit"/> puts into place by
/// renaming. A folder that is replaced is renamed to the side before and deleted afterwards, so that at every moment either the old model
/// or the new one is complete; what else lay in it moves over.
/// </summary>
/// <remarks>A process that is killed between two renames is followed by one that finishes or takes back its work, see <see cref="FolderSwap"/>.</remarks>
internal sealed class OutputFolder : IDisposable
{
    private readonly FolderSwap _swap;
    private readonly bool _isMountPoint;
    private readonly List<string> _files = [];
    private bool _committed;

    /// <summary>Creates the temporary folder.</summary>
    /// <param name="path">The final place.</param>
    /// <param name="overwrite">Whether the folder may hold files already; those of an older model are removed.</param>
    /// <exception cref="IOException">
    /// The path is a file, or a folder with content and <paramref name="overwrite"/> is false, or the folder cannot be created.
    /// </exception>
    public OutputFolder(string path, bool overwrite)
    {
        OutputPlace.CheckFolder(path);

        // A link stays a link: what it leads to is replaced.
        string place = LinkResolver.RealPath(Path.TrimEndingDirectorySeparator(path));
        FolderSwap.SettleAbandoned(place);
        bool hasContent = Directory.Exists(place) && Directory.EnumerateFileSystemEntries(place).Any();
        if (hasContent && !overwrite)
        {
            throw new IOException($"{path} exists and is not empty.");
        }

        _isMountPoint = IsMountPoint(place);
        if (_isMountPoint && hasContent)
        {
            throw new IOException($"{path} is a mount point, whose content cannot be replaced at once; name a folder below it.");
        }

        _swap = new FolderSwap(_isMountPoint ? Path.Combine(place, "model") : place);
    }

    /// <summary>Writes one file and flushes it to the disk.</summary>
    /// <param name="name">Path below the folder.</param>
    /// <param name="write">Gives its content.</param>
    public void Write(string name, Action<Stream> write)
    {
        string path = Path.Combine(_swap.Staging, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var output = new OutputStream(path, Path.Combine(_swap.Place, name));
        write(output);
        output.FlushToDisk();
        _files.Add(name);
    }

    /// <summary>Puts all files into place.</summary>
    public void Commit()
    {
        if (_isMountPoint)
        {
            // There was nothing before. Without its index and its config a reader that comes too early refuses what it finds.
            foreach (string name in _files.OrderBy(name => name is SafetensorsFile.IndexName or ConfigFile.Name))
            {
                string target = Path.Combine(Path.GetDirectoryName(_swap.Place)!, name);
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                DiskSteps.MoveFile(Path.Combine(_swap.Staging, name), target);
            }
        }
        else
        {
            _swap.Swap();
            _committed = true;
        }
    }

    /// <summary>Deletes what was not committed.</summary>
    public void Dispose()
    {
        try
        {
            if (!_committed)
            {
                _swap.Settle();
            }
        }
        finally
        {
            _swap.Dispose();
        }
    }

    private static bool IsMountPoint(string path) =>
        DriveInfo.GetDrives().Any(drive => Path.TrimEndingDirectorySeparator(drive.Name) == path);
}
