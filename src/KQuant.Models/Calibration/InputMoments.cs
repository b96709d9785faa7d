using System.Numerics;

namespace KQuant.Models.Calibration;

/// <summary>Sums of what the matrices of a weight were multiplied with, in float64.</summary>
internal sealed class InputMoments(int matrices, int columns)
{
    public int Columns => columns;

    /// <summary>Inputs of each matrix.</summary>
    public long[] Counts { get; } = new long[matrices];

    /// <summary>[matrices][columns].</summary>
    public double[] Sums { get; } = new double[checked(matrices * columns)];

    /// <summary>[matrices][columns], of squares.</summary>
    public double[] Squares { get; } = new double[checked(matrices * columns)];

    /// <summary>Adds an input.</summary>
    public void Add(int matrix, ReadOnlySpan<float> row)
    {
        Counts[matrix]++;
        Span<double> sums = Sums.AsSpan(matrix * columns, columns), squares = Squares.AsSpan(matrix * columns, columns);
        int i = 0;
        for (; i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(row[i..]), out Vector<double> low, out Vector<double> high);
            Span<double> lowSums = sums[i..], highSums = sums[(i + Vector<double>.Count)..];
            Span<double> lowSquares = squares[i..], highSquares = squares[(i + Vector<double>.Count)..];
            (new Vector<double>(lowSums) + low).CopyTo(lowSums);
            (new Vector<double>(highSums) + high).CopyTo(highSums);
            (new Vector<double>(lowSquares) + (low * low)).CopyTo(lowSquares);
            (new Vector<double>(highSquares) + (high * high)).CopyTo(highSquares);
        }

        for (; i < row.Length; i++)
        {
            sums[i] += row[i];
            squares[i] += (double)row[i] * row[i];
        }
    }
}
