using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// Four unpacked blocks of 32 codes. Lane 4 i + b has codes 4 i to 4 i + 3 of block b in the one vector, and codes 16 + 4 i to 19 + 4 i in
/// the other.
/// </summary>
internal readonly struct FourBlocks(Vector512<byte> low, Vector512<byte> high)
{
    public readonly Vector512<byte> Low = low;

    public readonly Vector512<byte> High = high;
}

/// <summary>One 32-wide codec's part in the AVX-512 row kernels: how four blocks are unpacked and multiplied.</summary>
internal unsafe interface IAvx512FlatRowFormat
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Whether this machine has all the instructions.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Bytes of a block; the first two are its scale and, if it has one, the next two its minimum.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Whether there is a minimum beside the scale.</summary>
    static abstract bool HasMin { get; }

    /// <summary>What unpacked codes are above the weights' integers.</summary>
    static abstract int Offset { get; }

    /// <summary>
    /// Whether the offset is taken off where dot products start, as integers, and not off the sum of floats: one that is larger than most codes would
    /// cost digits there.
    /// </summary>
    static abstract bool StartsAtOffset { get; }

    /// <summary>A constant of <see cref="Unpack"/>: where codes come from.</summary>
    static abstract Vector512<byte> Order { get; }

    /// <summary>A constant of <see cref="Unpack"/>: where what is left comes from.</summary>
    static abstract Vector512<byte> HighOrder { get; }

    /// <summary>A constant of <see cref="GatherFactors"/>.</summary>
    static abstract Vector512<byte> FactorOrder { get; }

    /// <summary>The first four bytes of four blocks, in every fourth lane; reads nothing else.</summary>
    static abstract Vector512<uint> GatherFactors(byte* blocks, Vector512<byte> order);

    /// <summary>Unpacks four blocks; reads nothing else.</summary>
    static abstract FourBlocks Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder);

    /// <summary>Adds the products of four blocks.</summary>
    /// <param name="y">Sixteen sums.</param>
    /// <param name="codes">The blocks.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="scales">The scale of each lane.</param>
    /// <param name="ones">1 in every lane, from a register.</param>
    static abstract Vector512<float> Add(Vector512<float> y, in FourBlocks codes, byte* x, Vector512<float> scales, Vector512<short> ones);
}
