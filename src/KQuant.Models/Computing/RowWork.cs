using KQuant.Matmul;

namespace KQuant.Models.Computing;

/// <summary>Something that is done to every row of a batch by itself. Few rows are done at once, many by all threads.</summary>
internal abstract class RowWork : IParallelWork
{
    /// <summary>Values below which threads are not worth asking.</summary>
    private const int WorthSharing = 16_384;

    private int _rows;
    private int _rowsPerPiece;

    public void RunPiece(int piece, Span<float> scratch)
    {
        int end = Math.Min(_rows, (piece + 1) * _rowsPerPiece);
        for (int row = piece * _rowsPerPiece; row < end; row++)
        {
            RunRow(row);
        }
    }

    /// <summary>Does all rows.</summary>
    /// <param name="rows">How many there are.</param>
    /// <param name="width">Values that are touched in a row.</param>
    /// <param name="context">Threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    protected void Run(int rows, int width, MatmulContext context, CancellationToken cancellation)
    {
        _rows = rows;
        long values = (long)rows * width;
        if (values < WorthSharing || rows == 1)
        {
            _rowsPerPiece = rows;
            RunPiece(0, default);
            return;
        }

        _rowsPerPiece = Math.Max(1, WorthSharing / 4 / width);
        context.Run(this, (rows + _rowsPerPiece - 1) / _rowsPerPiece, isLong: values > 8 * WorthSharing, cancellationToken: cancellation);
    }

    protected abstract void RunRow(int row);
}
