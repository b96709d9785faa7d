namespace KQuant.Codecs.Rotations;

/// <summary>
/// Hadamard matrices of 12, 20 and 28 rows, those of Sloane's tables that MLX uses: Paley's second for 12, which is symmetric, and
/// Williamson's arrays of sixteen circulant blocks for 20 and 28, which are not.
/// </summary>
internal static class HadamardMatrices
{
    private static readonly Dictionary<int, sbyte[]> Known = new()
    {
        [12] = Paley(),
        [20] = Williamson("+----+----++--++-++-", "-+++++-----+--+++--+", "--++-+-++-+-----++++", "-+--+--++-+----+----"),
        [28] = Williamson(
            "+------++----++-+--+-+--++--", "--++++-+-------++--+++-+--+-", "-+-++-++--++--+--------++++-", "-++--++-+-++-+++----++------"),
    };

    /// <summary>The orders, smallest first; 1 is that of powers of two.</summary>
    public static ReadOnlySpan<int> Orders => [1, 12, 20, 28];

    /// <summary>A matrix by rows, of 1 and -1.</summary>
    /// <param name="order">12, 20 or 28.</param>
    public static sbyte[] Get(int order) => Known[order];

    /// <summary>The transpose.</summary>
    public static sbyte[] Transpose(sbyte[] matrix, int order)
    {
        var transposed = new sbyte[matrix.Length];
        for (int i = 0; i < matrix.Length; i++)
        {
            transposed[(i % order * order) + (i / order)] = matrix[i];
        }

        return transposed;
    }

    /// <summary>A conference matrix of the squares modulo 5, whose entries are blocks: ++/+- times the entry, and +-/-- on the diagonal.</summary>
    private static sbyte[] Paley()
    {
        var matrix = new sbyte[12 * 12];
        for (int i = 0; i < 12; i++)
        {
            for (int j = 0; j < 12; j++)
            {
                int row = i / 2, column = j / 2, difference = (column - row + 5) % 5;
                int entry = row == 0 || column == 0 || difference is 1 or 4 ? 1 : -1;
                bool isLast = (i & j & 1) == 1;
                matrix[(i * 12) + j] = (sbyte)(row == column ? (i % 2 == 0 && j % 2 == 0 ? 1 : -1) : isLast ? -entry : entry);
            }
        }

        return matrix;
    }

    /// <summary>Blocks whose rows are their first ones, turned to the right.</summary>
    private static sbyte[] Williamson(params string[] firstRows)
    {
        int order = firstRows[0].Length, size = order / 4;
        var matrix = new sbyte[order * order];
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
            {
                int at = (j / size * size) + ((j % size) - (i % size) + size) % size;
                matrix[(i * order) + j] = (sbyte)(firstRows[i / size][at] == '+' ? 1 : -1);
            }
        }

        return matrix;
    }
}
