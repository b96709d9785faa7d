using System.Text;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Caching;

/// <summary>
/// A cache in a file: a magic number, the version, the fingerprint of the model, how layers store, the tokens, what every layer keeps of
/// them, and a checksum. Numbers are little-endian. The header says how long the file must be, and no memory is taken before that is true.
/// </summary>
internal static class CacheFile
{
    public const int Version = 1;

    /// <summary>A line for each layer; models have a few hundred.</summary>
    private const int MaxLayoutBytes = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "KQUANTKV"u8;

    /// <summary>Writes a cache.</summary>
    /// <param name="path">The file; there when it is complete, replaced if it was there.</param>
    /// <param name="fingerprint">Tells the model from others.</param>
    /// <param name="cache">The cache, in use by the caller.</param>
    public static void Write(string path, ReadOnlySpan<byte> fingerprint, KeyValueCache cache)
    {
        using var output = new OutputFile(path);
        using (var transfer = new CacheTransfer(output.Stream, isReading: false))
        {
            byte[] layout = Encoding.UTF8.GetBytes(cache.Layout);
            transfer.Pass(Magic.ToArray());
            transfer.Pass(Version);
            transfer.Pass(fingerprint.ToArray());
            transfer.Pass(cache.MaxSize);
            transfer.Pass(cache.Length);
            transfer.Pass(layout.Length);
            transfer.Pass(layout);
            cache.Pass(transfer, cache.Length);
            transfer.PassChecksum();
        }

        output.Commit();
    }

    /// <summary>Reads a cache.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fingerprint">Tells the model from others.</param>
    /// <param name="create">Makes an empty cache of so many tokens at most.</param>
    /// <exception cref="ModelFormatException">It is no such file, damaged, or of another model or kind.</exception>
    public static KeyValueCache Read(string path, ReadOnlySpan<byte> fingerprint, Func<int, KeyValueCache> create)
    {
        FileKinds.CheckReadable(path);
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
        using var transfer = new CacheTransfer(stream, isReading: true);
        try
        {
            return Read(path, stream.Length, transfer, fingerprint, create);
        }
        catch (EndOfStreamException)
        {
            throw new ModelFormatException(path, $"the file ends after {stream.Length} bytes, within a saved cache");
        }
    }

    private static KeyValueCache Read(
        string path, long fileLength, CacheTransfer transfer, ReadOnlySpan<byte> fingerprint, Func<int, KeyValueCache> create)
    {
        Span<byte> magic = stackalloc byte[Magic.Length];
        transfer.Pass(magic);
        if (!magic.SequenceEqual(Magic))
        {
            throw new ModelFormatException(path, "this is no saved cache");
        }

        int version = transfer.Pass(0);
        if (version != Version)
        {
            throw new ModelFormatException(path, $"the saved cache has version {version}; {Version} is known");
        }

        Span<byte> model = stackalloc byte[fingerprint.Length];
        transfer.Pass(model);
        if (!model.SequenceEqual(fingerprint))
        {
            throw new ModelFormatException(path, "the cache was saved for another model");
        }

        int maxSize = transfer.Pass(0), length = transfer.Pass(0), layoutLength = transfer.Pass(0);
        if (maxSize < 0 || length < 0 || layoutLength is < 0 or > MaxLayoutBytes || layoutLength > fileLength)
        {
            throw new ModelFormatException(path, $"the saved cache claims {length} tokens, a limit of {maxSize} and {layoutLength} bytes about layers");
        }

        byte[] layout = new byte[layoutLength];
        transfer.Pass(layout);
        KeyValueCache cache;
        try
        {
            cache = create(maxSize);
        }
        catch (ArgumentOutOfRangeException exception)
        {
            throw new ModelFormatException(path, $"the saved cache claims a limit of {maxSize} tokens", innerException: exception);
        }

        try
        {
            CheckLayout(path, Encoding.UTF8.GetString(layout), cache.Layout);
            if (length > cache.ContextLength)
            {
                throw new ModelFormatException(path, $"the cache holds {length} tokens and the context of the model {cache.ContextLength}");
            }

            long header = Magic.Length + (4L * sizeof(int)) + fingerprint.Length + layoutLength;
            long expected = checked(header + cache.GetStoredByteCount(length) + CacheTransfer.ChecksumBytes);
            if (fileLength != expected)
            {
                throw new ModelFormatException(path, $"the file has {fileLength} bytes; a cache of {length} tokens has {expected}");
            }

            cache.Pass(transfer, length);
            return transfer.PassChecksum() ? cache : throw new ModelFormatException(path, "the saved cache is damaged: its checksum is another one");
        }
        catch
        {
            cache.Dispose();
            throw;
        }
    }

    private static void CheckLayout(string path, string stored, string expected)
    {
        if (stored == expected)
        {
            return;
        }

        string[] there = stored.Split('\n'), here = expected.Split('\n');
        int layer = 0;
        while (layer < Math.Min(there.Length, here.Length) && there[layer] == here[layer])
        {
            layer++;
        }

        string other = layer < there.Length ? Printable.Shorten(there[layer]) : "nothing", own = layer < here.Length ? here[layer] : "nothing";
        throw new ModelFormatException(path, $"the cache is of another kind: layer {layer} keeps {other}, and the model is loaded with {own}");
    }
}
