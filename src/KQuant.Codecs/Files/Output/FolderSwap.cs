using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs.Files;

/// <summary>
/// A new folder that takes the place of an old one. Beside the place <c>X</c> there are, while it lasts, <c>X.ID.lock</c>, which the process
/// holds open, <c>X.ID.partial</c>, the new folder, and between two renames <c>X.ID.old</c>. The lock is the first to come and the last to
/// go, so that a later process can tell what a killed one left and knows from the names how far it came.
/// </summary>
internal sealed class FolderSwap : IDisposable
{
    private const string Lock = ".lock";
    private const string Old = ".old";

    private readonly string _lockPath;
    private readonly string _oldPath;
    private readonly FoldersAbove _above;
    private readonly SafeFileHandle _lock;

    /// <summary>Creates the new folder.</summary>
    /// <param name="place">The path that it is to take, without links.</param>
    public FolderSwap(string place)
    {
        string id = OutputPlace.NewId();
        Place = place;
        Staging = OutputPlace.Beside(place, id, OutputPlace.Partial);
        _oldPath = OutputPlace.Beside(place, id, Old);
        _lockPath = OutputPlace.Beside(place, id, Lock);
        _above = FoldersAbove.Create(place);
        try
        {
            _lock = File.OpenHandle(_lockPath, FileMode.CreateNew, FileAccess.Write, FileShare.None);
        }
        catch (Exception exception)
        {
            _above.Dispose();
            if (OutputPlace.IsOfDisk(exception))
            {
                throw OutputPlace.Named(exception, _lockPath, place);
            }

            throw;
        }

        try
        {
            Directory.CreateDirectory(Staging);
        }
        catch (Exception exception)
        {
            Dispose();
            if (OutputPlace.IsOfDisk(exception))
            {
                throw OutputPlace.Named(exception, Staging, place);
            }

            throw;
        }
    }

    /// <summary>The path that the new folder is to take.</summary>
    public string Place { get; }

    /// <summary>The new folder while it is written.</summary>
    public string Staging { get; }

    /// <summary>Finishes, or takes back, what killed processes began at a place.</summary>
    public static void SettleAbandoned(string place)
    {
        foreach (string id in OutputPlace.FindIds(place, Lock).ToArray())
        {
            string lockPath = OutputPlace.Beside(place, id, Lock);
            if (OutputPlace.IsAbandoned(lockPath))
            {
                Settle(place, OutputPlace.Beside(place, id, OutputPlace.Partial), OutputPlace.Beside(place, id, Old));
                DiskSteps.DeleteFile(lockPath);
            }
        }
    }

    /// <summary>The folder that a killed process has moved away from a place, where nothing has come since; null if there is none.</summary>
    public static string? FindAside(string path)
    {
        string place = LinkResolver.RealPath(Path.TrimEndingDirectorySeparator(path));
        return Path.Exists(place)
            ? null
            : OutputPlace.FindIds(place, Lock).Select(id => OutputPlace.Beside(place, id, Old)).FirstOrDefault(Directory.Exists);
    }

    /// <summary>Puts the new folder into place.</summary>
    public void Swap()
    {
        if (Directory.Exists(Place))
        {
            DiskSteps.MoveFolder(Place, _oldPath);
        }

        DiskSteps.MoveFolder(Staging, Place);
        Settle();
    }

    /// <summary>Leaves one complete folder: the new one if it has taken the place, else the old one.</summary>
    public void Settle() => Settle(Place, Staging, _oldPath);

    /// <summary>Gives the place free. <see cref="Settle()"/> comes before.</summary>
    public void Dispose()
    {
        _lock.Dispose();
        DiskSteps.DeleteFile(_lockPath);
        _above.Dispose();
    }

    private static void Settle(string place, string staging, string old)
    {
        if (Directory.Exists(old))
        {
            if (!Directory.Exists(place))
            {
                DiskSteps.MoveFolder(old, place);
            }
            else
            {
                // A new folder without a config replaces weights only. The config of the old one moves last, as long as that is to be seen.
                MoveRest(old, place, onlyWeights: !File.Exists(Path.Combine(place, ConfigFile.Name)));
                DiskSteps.DeleteFolder(old);
            }
        }

        if (Directory.Exists(staging))
        {
            DiskSteps.DeleteFolder(staging);
        }
    }

    /// <summary>Moves what is no part of the old model, and not in the way of the new one.</summary>
    private static void MoveRest(string from, string to, bool onlyWeights)
    {
        foreach (FileSystemInfo entry in new DirectoryInfo(from).GetFileSystemInfos().OrderBy(entry => entry.Name == ConfigFile.Name))
        {
            string target = Path.Combine(to, entry.Name);
            if (AuxiliaryFiles.IsOfModel(entry.Name, onlyWeights))
            {
                continue;
            }

            bool isFolder = entry is DirectoryInfo && entry.LinkTarget is null;
            if (isFolder && Directory.Exists(target))
            {
                MoveRest(entry.FullName, target, onlyWeights);
            }
            else if (isFolder)
            {
                DiskSteps.MoveFolder(entry.FullName, target);
            }
            else if (!Path.Exists(target))
            {
                DiskSteps.MoveFile(entry.FullName, target);
            }
        }
    }
}
