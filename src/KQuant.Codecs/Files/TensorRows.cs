namespace KQuant.Codecs.Files;

/// <summary>What every <see cref="ModelTensor.ReadRows"/> checks.</summary>
internal static class TensorRows
{
    /// <summary>Checks that a destination holds whole rows, and that the tensor has them.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="firstRow">The first row to read.</param>
    /// <param name="weights">Length of the destination.</param>
    /// <param name="columns">Weights per row.</param>
    /// <param name="rows">Rows of the tensor.</param>
    /// <returns>The number of rows to read.</returns>
    public static long CountRows(string name, long firstRow, int weights, int columns, long rows)
    {
        long count = columns == 0 ? 0 : weights / columns;
        if (count * columns != weights)
        {
            Throw.NotWholeRows(name, weights, columns, "destination");
        }

        if (firstRow < 0 || firstRow > rows - count)
        {
            Throw.RowsOutsideTensor(name, firstRow, count, rows);
        }

        return count;
    }
}
