namespace KQuant.Codecs.Files;

/// <summary>Where a path leads when every symbolic link on the way is followed.</summary>
internal static class LinkResolver
{
    private const int MaxLinks = 40;

    /// <summary>The path without links. What does not exist is left as it is written.</summary>
    /// <exception cref="IOException">The links form a circle.</exception>
    public static string RealPath(string path)
    {
        int links = 0;
        return Resolve(Path.GetFullPath(path), ref links);
    }

    public static bool IsBelow(string folder, string path) =>
        path.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static string Resolve(string path, ref int links)
    {
        string root = Path.GetPathRoot(path)!;
        string result = root;
        foreach (string part in path[root.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            result = Path.Combine(result, part);
            FileSystemInfo entry = Directory.Exists(result) ? new DirectoryInfo(result) : new FileInfo(result);
            if (entry.LinkTarget is string target)
            {
                if (++links > MaxLinks)
                {
                    throw new IOException($"{path} leads through more than {MaxLinks} links.");
                }

                result = Resolve(Path.GetFullPath(target, Path.GetDirectoryName(result)!), ref links);
            }
        }

        return result;
    }
}
