using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders;

/// <summary>Rows for an encoder: weights that follow each other and are finite, and where their blocks go.</summary>
/// <param name="weights"><c>rows * rowLength</c> weights.</param>
/// <param name="blocks">Receives the blocks.</param>
/// <param name="importance">One value for each weight of a row, the same for all rows; null for none.</param>
/// <param name="rowLength">Weights in a row, a whole number of blocks.</param>
/// <param name="rows">Number of rows.</param>
internal readonly unsafe struct EncodeTask(float* weights, byte* blocks, float* importance, int rowLength, int rows)
{
    public float* Weights { get; } = weights;

    public byte* Blocks { get; } = blocks;

    public float* Importance { get; } = importance;

    public int RowLength { get; } = rowLength;

    public int Rows { get; } = rows;

    /// <summary>Some of the rows.</summary>
    public EncodeTask Slice<TBlock>(int firstRow, int count)
        where TBlock : unmanaged, IQuantBlock<TBlock> => new(
            Weights + ((nint)firstRow * RowLength),
            (byte*)((TBlock*)Blocks + ((nint)firstRow * (RowLength / TBlock.WeightsPerBlock))),
            Importance,
            RowLength,
            count);
}
