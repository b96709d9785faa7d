namespace KQuant.Matmul;

/// <summary>What activations are turned into before they meet quantized weights.</summary>
public enum ActivationPrecision
{
    /// <summary>
    /// Signed bytes with a float32 scale per 256 values (K-quants) or 32 values (the other codecs), as in ggml's q8_K and q8_0 but with exact
    /// scales. The default: the fastest, with a relative error around 0.5 % that is independent from element to element.
    /// </summary>
    Int8 = 0,

    /// <summary>float32 as they are; weights are decoded. For training, and where the error of 8-bit activations is not wanted.</summary>
    Float32 = 1,
}
