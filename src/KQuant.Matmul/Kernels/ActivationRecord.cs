using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels;

/// <summary>What 32-wide codecs need of an activation block beside its codes and its scale.</summary>
internal enum BlockTerm
{
    /// <summary>Scale times sum, a float: what a minimum is multiplied with.</summary>
    ScaledSum,

    /// <summary>The offset of the codes times the sum, negated, an integer: what the dot product starts from.</summary>
    Offset,
}

/// <summary>
/// How activations lie for a panel kernel. Rows go in tiles; a tile holds, unit after unit, four codes of every row, the next four codes of
/// every row, and so on, then pairs of sums and the scale of every row. 32-wide codecs have codes, scales and terms block after block.
/// Everything a multiplication reads follows what it read before.
/// </summary>
internal readonly unsafe struct ActivationRecord
{
    /// <summary>Whether blocks are 32 wide.</summary>
    public bool IsFlat { get; init; }

    /// <summary>Pairs of sums in a unit, 0, 4 or 8 (256-wide codecs).</summary>
    public int MinPairs { get; init; }

    /// <summary>Whether 128 is added to codes, so that they are unsigned.</summary>
    public bool IsBiased { get; init; }

    /// <summary>What goes with a block (32-wide codecs).</summary>
    public BlockTerm Term { get; init; }

    /// <summary>What stored codes are above the weights' integers (32-wide codecs).</summary>
    public int Offset { get; init; }

    /// <summary>Bytes of a unit of one row.</summary>
    public int UnitBytes => IsFlat ? 256 + (8 * 8) : 256 + (4 * MinPairs) + 4;

    /// <summary>Arranges rows as one tile.</summary>
    public void Arrange(in ActivationView source, int* rowIndices, int firstRow, int rows, byte* tile)
    {
        for (int r = 0; r < rows; r++)
        {
            nint from = rowIndices == null ? firstRow + r : rowIndices[firstRow + r];
            uint* to = (uint*)tile + r;
            if (IsFlat)
            {
                ArrangeFlat(source, from, to, rows);
            }
            else
            {
                ArrangeK(source, from, to, rows);
            }
        }
    }

    private void ArrangeK(in ActivationView source, nint row, uint* to, int rows)
    {
        uint bias = IsBiased ? 0x80808080 : 0;
        uint* codes = (uint*)source.RowCodes(row);
        short* sums = source.RowSums(row);
        float* scales = source.RowScales(row);
        for (int u = 0; u < source.Units; u++, codes += 64, sums += 16)
        {
            for (int i = 0; i < 64; i++, to += rows)
            {
                *to = codes[i] ^ bias;
            }

            for (int p = 0; p < MinPairs; p++, to += rows)
            {
                *to = MinPairs == 8 ? ((uint*)sums)[p] : Pair(sums[4 * p] + sums[(4 * p) + 1], sums[(4 * p) + 2] + sums[(4 * p) + 3]);
            }

            *(float*)to = scales[u];
            to += rows;
        }
    }

    private void ArrangeFlat(in ActivationView source, nint row, uint* to, int rows)
    {
        uint* codes = (uint*)source.RowCodes(row);
        short* sums = source.RowSums(row);
        float* scales = source.RowScales(row);
        for (int b = 0; b < 8 * source.Units; b++, codes += 8)
        {
            for (int i = 0; i < 8; i++, to += rows)
            {
                *to = codes[i];
            }

            *(float*)to = scales[b];
            to += rows;
            if (Term == BlockTerm.ScaledSum)
            {
                *(float*)to = scales[b] * sums[b];
            }
            else
            {
                *(int*)to = -Offset * sums[b];
            }

            to += rows;
        }
    }

    private static uint Pair(int low, int high) => (ushort)low | ((uint)high << 16);
}
