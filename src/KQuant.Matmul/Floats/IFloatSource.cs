using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>How float weights lie in memory, and how vectors of them become float32.</summary>
internal unsafe interface IFloatSource
{
    /// <summary>The format.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>
    /// The most activation rows, as measured, for which weights are better read where they are, and widened for every tile of rows again,
    /// than decoded in advance.
    /// </summary>
    static abstract int DirectRows { get; }

    /// <summary>One weight.</summary>
    static abstract float Load(byte* source, nint index);

    static abstract Vector512<float> Load512(byte* source, nint index);

    static abstract Vector256<float> Load256(byte* source, nint index);

    static abstract Vector128<float> Load128(byte* source, nint index);
}
