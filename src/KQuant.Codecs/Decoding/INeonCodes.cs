using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>How NEON takes blocks apart; decoders and products share it.</summary>
internal unsafe interface INeonCodes
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Bytes of a block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>
    /// Unpacked codes are the weights' integers, signed, times two to this power: it can be less work to put the sign bit on top of a byte
    /// than to subtract an offset.
    /// </summary>
    static abstract int Shift { get; }

    /// <summary>Whether there is a minimum beside the scale.</summary>
    static abstract bool HasMin { get; }
}

/// <summary>A 32-wide codec: the scale is at the start of a block, the minimum two bytes behind it.</summary>
internal unsafe interface INeonFlatCodes : INeonCodes
{
    /// <summary>The largest magnitude of an unpacked code.</summary>
    static abstract int MaxCode { get; }

    /// <summary>Unpacks a block.</summary>
    static abstract void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1);
}

/// <summary>A K-quant.</summary>
internal unsafe interface INeonKCodes : INeonCodes
{
    /// <summary>Weights that share an integer scale: 16 or 32.</summary>
    static abstract int SubBlock { get; }

    /// <summary>Where the super-block scale is; that of the minima is two bytes behind it.</summary>
    static abstract int ScaleOffset { get; }

    /// <summary>
    /// Integer scales of the sub-blocks, and minima if there are any: eight in <paramref name="low"/>, or eight more in
    /// <paramref name="high"/>.
    /// </summary>
    static abstract void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh);

    /// <summary>Unpacks 64 codes in natural order.</summary>
    /// <param name="block">The block.</param>
    /// <param name="quarter">Which 64, 0 to 3; a constant.</param>
    /// <param name="c0">The first sixteen.</param>
    /// <param name="c1">The second.</param>
    /// <param name="c2">The third.</param>
    /// <param name="c3">The last.</param>
    static abstract void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
}
