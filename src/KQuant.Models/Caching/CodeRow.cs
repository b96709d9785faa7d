using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>Packed codes of a codebook for a run of values.</summary>
internal readonly unsafe struct CodeRow(int count, LloydMaxCodebook codebook)
{
    /// <summary>Bytes of the codes.</summary>
    public int ByteCount { get; } = (int)BitPacking.GetByteCount(count, codebook.Bits);

    /// <summary>Encodes values.</summary>
    public void Encode(ReadOnlySpan<float> values, byte* packed)
    {
        Span<byte> codes = stackalloc byte[count];
        codebook.Encode(values, codes);
        BitPacking.Pack(codes, codebook.Bits, new Span<byte>(packed, ByteCount));
    }

    /// <summary>Decodes values, times a factor.</summary>
    public void Decode(byte* packed, float factor, Span<float> values)
    {
        Span<byte> codes = stackalloc byte[count];
        BitPacking.Unpack(new ReadOnlySpan<byte>(packed, ByteCount), codebook.Bits, codes);
        RotationKernel.Best.LookUp(codes, codebook.Centroids, factor, values);
    }
}
