namespace KQuant.Codecs.Files;

/// <summary>The folders that an output needs and that are not there: they go again when nothing comes of it.</summary>
internal sealed class FoldersAbove : IDisposable
{
    private readonly Stack<string> _made = new();

    private FoldersAbove()
    {
    }

    /// <summary>Makes the folders above a path.</summary>
    /// <exception cref="IOException">One cannot be made; those that were are gone.</exception>
    public static FoldersAbove Create(string path)
    {
        var missing = new Stack<string>();
        for (string? above = Path.GetDirectoryName(Path.GetFullPath(path)); above is not null && !Directory.Exists(above); above = Path.GetDirectoryName(above))
        {
            missing.Push(above);
        }

        var folders = new FoldersAbove();
        try
        {
            foreach (string folder in missing)
            {
                Directory.CreateDirectory(folder);
                folders._made.Push(folder);
            }
        }
        catch
        {
            folders.Dispose();
            throw;
        }

        return folders;
    }

    /// <summary>Deletes the folders that were made and are still empty.</summary>
    public void Dispose()
    {
        while (_made.TryPop(out string? folder))
        {
            try
            {
                if (Directory.EnumerateFileSystemEntries(folder).Any())
                {
                    return;
                }

                DiskSteps.DeleteEmptyFolder(folder);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // Somebody else has just put something there, or taken the folder away.
                return;
            }
        }
    }
}
