using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Rows.Avx512;

/// <summary>One 32-wide codec's part in the AVX-512 row kernels: how four blocks are unpacked and multiplied.</summary>
/// <typeparam name="TCodes">Four unpacked blocks, as vectors.</typeparam>
internal unsafe interface IAvx512FlatRowFormat<TCodes>
    where TCodes : struct
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Whether this machine has all the instructions.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Bytes of a block; the first two are its scale and, if it has one, the next two its minimum.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Whether there is a minimum beside the scale.</summary>
    static abstract bool HasMin { get; }

    /// <summary>Bytes of four arranged blocks of an activation row.</summary>
    static abstract int PartBytes { get; }

    /// <summary>A constant of <see cref="Unpack"/>: where codes come from.</summary>
    static abstract Vector512<byte> Order { get; }

    /// <summary>A constant of <see cref="Unpack"/>: where high bits come from.</summary>
    static abstract Vector512<byte> HighOrder { get; }

    /// <summary>A constant of <see cref="Add"/>: which block each lane belongs to.</summary>
    static abstract Vector512<int> ScaleOrder { get; }

    /// <summary>Unpacks four blocks; reads nothing else.</summary>
    static abstract TCodes Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder);

    /// <summary>Adds the products of four blocks.</summary>
    /// <param name="y">Sixteen sums.</param>
    /// <param name="codes">The blocks.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="scales">Scales of sixteen blocks.</param>
    /// <param name="lanes"><see cref="ScaleOrder"/>, plus the number of blocks before these.</param>
    static abstract Vector512<float> Add(Vector512<float> y, in TCodes codes, byte* x, Vector512<float> scales, Vector512<int> lanes);

    /// <summary>Arranges four blocks of an activation row.</summary>
    static abstract void ArrangePart(sbyte* codes, byte* x);
}
