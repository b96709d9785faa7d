using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// Where a K-quant keeps what, as constants: all that kernels of any vector width need to take its blocks apart. Sixteen consecutive weights,
/// a run, have the low bits of their codes in sixteen consecutive bytes, their high bits in sixteen others, and one shift for all of each.
/// </summary>
internal unsafe interface IKLayout
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Bytes of a block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Weights that share an integer scale: 16 or 32.</summary>
    static abstract int SubBlock { get; }

    /// <summary>Whether there is a minimum beside every scale.</summary>
    static abstract bool HasMin { get; }

    /// <summary>What codes are above the weights' integers.</summary>
    static abstract int Offset { get; }

    /// <summary>Bits of a code that are together: 2 or 4.</summary>
    static abstract int LowBits { get; }

    /// <summary>Bits above them that are elsewhere.</summary>
    static abstract int HighBits { get; }

    /// <summary>The first byte with low bits of a run.</summary>
    static abstract int LowByte(int run);

    /// <summary>Where in the bytes they are.</summary>
    static abstract int LowShift(int run);

    /// <summary>The first byte with high bits of a run.</summary>
    static abstract int HighByte(int run);

    /// <summary>Where in the bytes they are.</summary>
    static abstract int HighShift(int run);

    /// <summary>Where d is, and dmin behind it if there is one.</summary>
    static abstract int FactorByte { get; }

    /// <summary>Reads scales and minima of the sub-blocks, in order; those of eight are in the lower halves, with anything above.</summary>
    static abstract void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins);

    /// <summary>The same in each half of a vector; minima of eight sub-blocks are in the upper bytes of the halves.</summary>
    static abstract void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins);

    /// <summary>Of eight blocks whose 32-bit words are interleaved, the scales of four sub-blocks as bytes in the lane of the block.</summary>
    static abstract Vector256<byte> ScaleColumn(byte* columns, int index);

    /// <summary>The same with minima.</summary>
    static abstract Vector256<byte> MinColumn(byte* columns, int index);
}
