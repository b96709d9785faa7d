using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>How the portable kernel multiplies a unit of four weight rows, unpacked, with activation rows.</summary>
internal unsafe interface IPortableUnit
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>Blocks of a unit.</summary>
    static abstract int Blocks { get; }

    /// <summary>Bytes of an arranged unit of an activation row.</summary>
    static abstract int ActivationBytes { get; }

    /// <summary>Bytes of a unit of four unpacked weight rows.</summary>
    static abstract int UnpackedBytes { get; }

    /// <summary>Arranges a unit of an activation row.</summary>
    static abstract void Arrange(sbyte* codes, float* scales, short* sums, byte* x);

    /// <summary>Unpacks a unit of a weight row.</summary>
    /// <param name="blocks">Wire bytes.</param>
    /// <param name="count">Blocks there are.</param>
    /// <param name="row">Which of the four rows.</param>
    /// <param name="unpacked">The four rows.</param>
    static abstract void Unpack(byte* blocks, int count, int row, byte* unpacked);

    /// <summary>Adds a unit to four outputs of an activation row, in canonical order.</summary>
    static abstract Vector128<float> Multiply(byte* unpacked, int count, byte* x, Vector128<float> y);
}
