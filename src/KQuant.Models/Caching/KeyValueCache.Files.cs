using System.Runtime.InteropServices;
using KQuant.Models.Caching;

namespace KQuant.Models;

/// <content>What a cache takes, and caches in files.</content>
public sealed partial class KeyValueCache
{
    /// <summary>
    /// Writes the cache to a file, from which the text goes on later with the same bits. The file is there when it is complete; one that was
    /// there before is replaced. The format is of this version: files are for a while, not for an archive.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache, or its model, was disposed.</exception>
    /// <example>
    /// <code>
    /// model.Forward(model.Tokenizer.Encode("A long prompt"), cache, logits);
    /// cache.Save("prompt.cache");
    /// using KeyValueCache again = model.LoadCache("prompt.cache");   // perhaps in another process
    /// </code>
    /// </example>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Enter();
        try
        {
            CacheFile.Write(path, _fingerprint(), this);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Makes room for a text of so many tokens at once.</summary>
    /// <param name="tokens">Tokens of the whole text; what the cache holds counts.</param>
    /// <exception cref="ArgumentOutOfRangeException">They are negative, or more than <see cref="ContextLength"/>.</exception>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public void Reserve(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, ContextLength);
        Enter();
        try
        {
            foreach (LayerState layer in _layers)
            {
                layer.Reserve(tokens);
            }
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>
    /// Takes the text back to what it has in common with another one, but for the last token of that, which is always to be read; to nothing
    /// where the cache cannot be cut back.
    /// </summary>
    /// <param name="tokens">The other text.</param>
    /// <returns>How many of its tokens the cache holds now.</returns>
    internal int Rewind(ReadOnlySpan<int> tokens)
    {
        int common = Tokens.CommonPrefixLength(tokens[..Math.Max(0, tokens.Length - 1)]);
        if (TryTruncate(common))
        {
            return common;
        }

        Clear();
        return 0;
    }

    /// <summary>Bytes that a text of so many tokens needs.</summary>
    internal long GetByteCount(int tokens) => _layers.Sum(layer => layer.GetByteCount(tokens));

    /// <summary>Bytes of the tokens, and of what layers keep of them, in a file.</summary>
    internal long GetStoredByteCount(int length) => checked(((long)length * sizeof(int)) + _layers.Sum(layer => layer.GetStoredByteCount(length)));

    /// <summary>Writes tokens and layers, or fills an empty cache.</summary>
    internal void Pass(CacheTransfer transfer, int length)
    {
        if (transfer.IsReading)
        {
            _tokens = new int[length];
            foreach (LayerState layer in _layers)
            {
                layer.Reserve(length);
            }
        }

        if (BitConverter.IsLittleEndian)
        {
            transfer.Pass(MemoryMarshal.AsBytes(_tokens.AsSpan(0, length)));
        }
        else
        {
            for (int i = 0; i < length; i++)
            {
                _tokens[i] = transfer.Pass(_tokens[i]);
            }
        }

        foreach (LayerState layer in _layers)
        {
            layer.Pass(transfer, length);
        }

        Length = length;
    }
}
