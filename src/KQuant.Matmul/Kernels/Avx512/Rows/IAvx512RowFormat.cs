using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// One K-quant's part in the AVX-512 row kernels: how a block becomes four vectors of codes in an order that costs little, with their scales,
/// and how the small print of sixteen blocks is read at once, a block in every lane.
/// </summary>
internal unsafe interface IAvx512RowFormat
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Bytes of a block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Pairs of minima: 0, 4 or 8.</summary>
    static abstract int MinPairs { get; }

    /// <summary>What unpacked codes are above the weights' integers.</summary>
    static abstract byte Offset { get; }

    /// <summary>Bytes from block to block in <see cref="SmallPrint.Scales"/>.</summary>
    static abstract int ScaleBytes { get; }

    /// <summary>Which sixteen consecutive weights are in each 128-bit part of the four vectors.</summary>
    static abstract ReadOnlySpan<byte> Order { get; }

    /// <summary>Reads the small print of up to sixteen blocks.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <param name="count">How many, 1 to 16.</param>
    /// <param name="print">Where it goes.</param>
    static abstract void Read(byte* blocks, int count, SmallPrint* print);

    /// <summary>Unpacks a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="scales">Its bytes in <see cref="SmallPrint.Scales"/>.</param>
    /// <param name="c0">The first 64 codes.</param>
    /// <param name="c1">The second.</param>
    /// <param name="c2">The third.</param>
    /// <param name="c3">The last.</param>
    /// <param name="s0">The scales of the first codes, one for every two.</param>
    /// <param name="s1">Those of the second.</param>
    /// <param name="s2">Those of the third.</param>
    /// <param name="s3">Those of the last.</param>
    static abstract void Unpack(
        byte* block, byte* scales,
        out Vector512<byte> c0, out Vector512<byte> c1, out Vector512<byte> c2, out Vector512<byte> c3,
        out Vector512<short> s0, out Vector512<short> s1, out Vector512<short> s2, out Vector512<short> s3);
}

/// <summary>Scales and minima of sixteen blocks of a weight row.</summary>
internal unsafe struct SmallPrint
{
    /// <summary>Super-block scales.</summary>
    public fixed float D[16];

    /// <summary>Super-block scales of the minima.</summary>
    public fixed float DMin[16];

    /// <summary>Pairs of minima of the sub-blocks: pair p of block b at <c>2 * (16 p + b)</c>.</summary>
    public fixed short Mins[8 * 32];

    /// <summary>Scales of the sub-blocks, one byte each, block after block, as the format has it.</summary>
    public fixed byte Scales[16 * 16];

    /// <summary>Room for the first or last bytes of blocks when there are fewer than sixteen. Those that are missing stay zero.</summary>
    public fixed byte Gathered[2 * 16 * 16];
}
