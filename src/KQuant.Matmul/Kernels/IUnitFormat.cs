namespace KQuant.Matmul.Kernels;

/// <summary>What a product must know of a format. The scalar definition; SIMD kernels have unpackers of their own.</summary>
internal unsafe interface IUnitFormat
{
    /// <summary>Weights that share an integer scale: 16 or 32. 32-wide codecs have a float scale for every 32 instead.</summary>
    static abstract int SubBlock { get; }

    /// <summary>Whether blocks are 32 wide, with scales of their own, instead of 256 wide.</summary>
    static abstract bool IsFlat { get; }

    /// <summary>Whether there is a minimum term.</summary>
    static abstract bool HasMin { get; }

    /// <summary>Takes blocks apart.</summary>
    /// <param name="blocks">One K-quant block, or <paramref name="count"/> 32-wide ones.</param>
    /// <param name="count">Blocks there are, 1 to 8 for 32-wide codecs; the others become zero.</param>
    /// <param name="unit">The 256 weights.</param>
    static abstract void Unpack(byte* blocks, int count, ref WeightUnit unit);
}
