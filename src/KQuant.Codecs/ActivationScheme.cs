namespace KQuant.Codecs;

/// <summary>How many activations share a scale.</summary>
internal enum ActivationScheme
{
    /// <summary>One scale per 256 values and the sum of every 16 codes, for K-quants (ggml's q8_K).</summary>
    Block256,

    /// <summary>One scale and one sum per 32 values, for formats with float scales (ggml's q8_0 and q8_1, with a float32 scale).</summary>
    Block32,
}
