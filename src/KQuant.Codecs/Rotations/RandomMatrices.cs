namespace KQuant.Codecs.Rotations;

/// <summary>Matrices of random numbers, the same for a seed on every machine.</summary>
internal static class RandomMatrices
{
    /// <summary>Independent Gaussian numbers, by rows.</summary>
    public static float[] CreateGaussian(int rows, int columns, ulong seed)
    {
        var numbers = new GaussianNumbers(seed);
        var matrix = new float[rows * columns];
        for (int i = 0; i < matrix.Length; i++)
        {
            matrix[i] = (float)numbers.Next();
        }

        return matrix;
    }

    /// <summary>Rows that are orthogonal to one another and of length 1, otherwise uniform: Gaussian ones by Gram and Schmidt, done twice.</summary>
    /// <param name="rows">Rows, no more than columns.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="seed">The seed.</param>
    public static float[] CreateOrthonormal(int rows, int columns, ulong seed)
    {
        var numbers = new GaussianNumbers(seed);
        var matrix = new double[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            Span<double> current = matrix.AsSpan(row * columns, columns);
            for (int i = 0; i < columns; i++)
            {
                current[i] = numbers.Next();
            }

            for (int previous = 0; previous < 2 * row; previous++)
            {
                Span<double> other = matrix.AsSpan(previous % row * columns, columns);
                double product = Dot(current, other);
                for (int i = 0; i < columns; i++)
                {
                    current[i] -= product * other[i];
                }
            }

            double length = Math.Sqrt(Dot(current, current));
            for (int i = 0; i < columns; i++)
            {
                current[i] /= length;
            }
        }

        return Array.ConvertAll(matrix, value => (float)value);
    }

    /// <summary>Columns as rows.</summary>
    public static float[] Transpose(float[] matrix, int rows, int columns)
    {
        var transposed = new float[matrix.Length];
        for (int i = 0; i < matrix.Length; i++)
        {
            transposed[(i % columns * rows) + (i / columns)] = matrix[i];
        }

        return transposed;
    }

    private static double Dot(ReadOnlySpan<double> left, ReadOnlySpan<double> right)
    {
        double sum = 0;
        for (int i = 0; i < left.Length; i++)
        {
            sum += left[i] * right[i];
        }

        return sum;
    }
}
