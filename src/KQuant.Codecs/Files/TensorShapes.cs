namespace KQuant.Codecs.Files;

/// <summary>What the dimensions of a tensor in a file, outermost first, mean for weights.</summary>
internal static class TensorShapes
{
    /// <summary>Elements of a shape whose size was already checked against a file; none if a dimension is 0, whatever the others claim.</summary>
    public static long Product(ReadOnlySpan<long> shape)
    {
        if (shape.Contains(0))
        {
            return 0;
        }

        long product = 1;
        foreach (long dimension in shape)
        {
            product = checked(product * dimension);
        }

        return product;
    }

    /// <summary>Rows of all experts together; a tensor without elements has none.</summary>
    public static long CountRows(ReadOnlySpan<long> shape) => shape.IsEmpty ? 1 : shape.Contains(0) ? 0 : Product(shape[..^1]);

    /// <summary>
    /// [] is one weight, [K] one row, [R, K] a matrix, [E, R, K] a stack of experts; dimensions before these are folded into the experts.
    /// A tensor without elements has no rows, as everywhere.
    /// </summary>
    /// <returns>False when a row is too long for a <see cref="QuantShape"/>.</returns>
    public static bool TryGetQuantShape(ReadOnlySpan<long> shape, out QuantShape result)
    {
        result = default;
        long columns = shape.IsEmpty ? 1 : shape[^1];
        if (columns > int.MaxValue)
        {
            return false;
        }

        if (shape.Contains(0))
        {
            result = new QuantShape(0, (int)columns);
            return true;
        }

        long rows = shape.Length < 2 ? 1 : shape[^2];
        long experts = shape.Length < 3 ? 1 : Product(shape[..^2]);
        result = QuantShape.Stack(experts, rows, (int)columns);
        return true;
    }
}
