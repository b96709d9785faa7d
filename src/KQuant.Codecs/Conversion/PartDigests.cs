using System.Security.Cryptography;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// The table behind the tensors of a part: for each plane the SHA-256 of its bytes and the error of its weights, and at the end the SHA-256
/// of the table.
/// </summary>
internal sealed class PartDigests(int planes)
{
    private const int LineBytes = SHA256.HashSizeInBytes + WeightError.StoredBytes;

    private readonly byte[] _table = new byte[checked(planes * LineBytes)];

    /// <summary>Bytes of the table.</summary>
    public int ByteCount => _table.Length + SHA256.HashSizeInBytes;

    /// <summary>Writes down what a plane has become.</summary>
    public void Set(int plane, ReadOnlySpan<byte> hash, WeightError? error)
    {
        hash.CopyTo(HashOf(plane));
        WeightError.Store(error, ErrorOf(plane));
    }

    /// <summary>The SHA-256 of a plane.</summary>
    public ReadOnlySpan<byte> GetHash(int plane) => HashOf(plane);

    /// <summary>The error of the weights in a plane.</summary>
    public WeightError? GetError(int plane) => WeightError.Load(ErrorOf(plane));

    /// <summary>Writes the table.</summary>
    public void WriteTo(Stream stream)
    {
        stream.Write(_table);
        stream.Write(SHA256.HashData(_table));
    }

    /// <summary>Takes a table over; false when it is damaged.</summary>
    public bool TryRead(ReadOnlySpan<byte> bytes)
    {
        bytes[.._table.Length].CopyTo(_table);
        return SHA256.HashData(_table).AsSpan().SequenceEqual(bytes[_table.Length..]);
    }

    private Span<byte> HashOf(int plane) => _table.AsSpan(plane * LineBytes, SHA256.HashSizeInBytes);

    private Span<byte> ErrorOf(int plane) => _table.AsSpan((plane * LineBytes) + SHA256.HashSizeInBytes, WeightError.StoredBytes);
}
