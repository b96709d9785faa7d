using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Large files that take no room on the disk, where the file system has such.</summary>
internal static class SparseFile
{
    /// <summary>Creates a file that starts with some bytes and is otherwise a hole.</summary>
    public static string Create(TemporaryFolder folder, long length, ReadOnlySpan<byte> start)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Files are not sparse by default on Windows.");
        }

        string path = folder.Write("sparse.gguf", start);
        try
        {
            using FileStream stream = File.OpenWrite(path);
            stream.SetLength(length);
        }
        catch (IOException exception)
        {
            Assert.Ignore($"The file system has no room for a sparse file of {length} bytes: {exception.Message}");
        }

        return path;
    }
}
