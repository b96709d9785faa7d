using System.Buffers.Binary;
using System.Security.Cryptography;

namespace KQuant.Models.Caching;

/// <summary>
/// Numbers and bytes that go to a file or come from one: what has a state names its parts once, in one order, for both ways. Everything
/// that passes is part of a checksum, which stands behind it.
/// </summary>
/// <param name="stream">The file.</param>
/// <param name="isReading">Whether it comes from there.</param>
internal sealed class CacheTransfer(Stream stream, bool isReading) : IDisposable
{
    /// <summary>Bytes of the checksum.</summary>
    public const int ChecksumBytes = SHA256.HashSizeInBytes;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Whether parts are filled rather than written.</summary>
    public bool IsReading => isReading;

    /// <summary>Fills bytes, or writes them.</summary>
    /// <exception cref="EndOfStreamException">The file ends.</exception>
    public void Pass(Span<byte> bytes)
    {
        if (isReading)
        {
            stream.ReadExactly(bytes);
        }
        else
        {
            stream.Write(bytes);
        }

        _hash.AppendData(bytes);
    }

    /// <summary>A whole number.</summary>
    /// <param name="value">It, when it is written.</param>
    /// <returns>It, or what was read.</returns>
    public int Pass(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        Pass(bytes);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }

    /// <summary>Yes or no, in a byte.</summary>
    /// <param name="value">It, when it is written.</param>
    /// <returns>It, or what was read.</returns>
    public bool Pass(bool value)
    {
        Span<byte> bytes = [value ? (byte)1 : (byte)0];
        Pass(bytes);
        return bytes[0] != 0;
    }

    /// <summary>Writes the checksum of everything before, or compares it.</summary>
    /// <returns>False when another one was read.</returns>
    public bool PassChecksum()
    {
        byte[] checksum = _hash.GetHashAndReset();
        if (!isReading)
        {
            stream.Write(checksum);
            return true;
        }

        Span<byte> stored = stackalloc byte[ChecksumBytes];
        stream.ReadExactly(stored);
        return stored.SequenceEqual(checksum);
    }

    public void Dispose() => _hash.Dispose();
}
