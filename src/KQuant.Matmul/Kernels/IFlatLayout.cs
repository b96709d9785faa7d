using KQuant.Codecs;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// Where a 32-wide codec keeps what, as constants. A block starts with d, and m if there is one. Codes of 8 bits are bytes; shorter ones
/// have their low four bits in sixteen bytes, the first sixteen codes in low nibbles, and their fifth bits in a 32-bit word.
/// </summary>
internal interface IFlatLayout
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Bytes of a block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Bits of a code: 4, 5 or 8.</summary>
    static abstract int Bits { get; }

    /// <summary>Whether there is a minimum beside the scale.</summary>
    static abstract bool HasMin { get; }

    /// <summary>What codes are above the weights' integers. Codes of 8 bits are signed as they are, and 128 too large once their sign bit is turned.</summary>
    static abstract int Offset { get; }

    /// <summary>The first byte of codes.</summary>
    static abstract int CodeByte { get; }

    /// <summary>The first byte of fifth bits.</summary>
    static abstract int FifthByte { get; }
}
