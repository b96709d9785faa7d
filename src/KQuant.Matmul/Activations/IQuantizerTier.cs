namespace KQuant.Matmul.Activations;

/// <summary>What an instruction set does for a quantizer. Blocks have 32 or 256 values.</summary>
internal unsafe interface IQuantizerTier
{
    /// <summary>The largest magnitude of <paramref name="count"/> values, as bits.</summary>
    static abstract uint Largest(float* x, int count);

    /// <summary>Multiplies finite values and rounds them to nearest even.</summary>
    static abstract void Round(float* x, int count, float factor, sbyte* codes);

    /// <summary>Adds up every 16 codes of 256.</summary>
    static abstract void Sum16(sbyte* codes, short* sums);

    /// <summary>Adds up 32 codes.</summary>
    static abstract short Sum32(sbyte* codes);
}
