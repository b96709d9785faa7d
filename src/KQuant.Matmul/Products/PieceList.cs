using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>Cuts the outputs of every group into pieces of about equal cost.</summary>
internal sealed unsafe class PieceList : IDisposable
{
    private readonly AlignedBuffer _buffer = new();
    private Piece* _pieces;

    /// <summary>How many pieces there are.</summary>
    public int Count { get; private set; }

    /// <summary>Threads that the whole is worth.</summary>
    public int Threads { get; private set; }

    /// <summary>Whether the whole is worth waking threads.</summary>
    public bool IsWorthWaking { get; private set; }

    public ref readonly Piece this[int index] => ref _pieces[index];

    /// <summary>Cuts.</summary>
    /// <param name="plan">The groups.</param>
    /// <param name="matrixBytes">Bytes of weights that a group reads.</param>
    /// <param name="outputs">Outputs per row.</param>
    /// <param name="inputs">Inputs per row.</param>
    /// <param name="granule">Pieces start at multiples of it.</param>
    /// <param name="isInteger">Whether it is int8 arithmetic.</param>
    /// <param name="maxThreads">Threads there are.</param>
    public void Cut(RowPlan plan, nint matrixBytes, int outputs, int inputs, int granule, bool isInteger, int maxThreads)
    {
        nint weights = (nint)outputs * inputs;
        double total = 0;
        for (int g = 0; g < plan.GroupCount; g++)
        {
            total += WorkCost.Product(matrixBytes, plan.Groups[g].Count, weights, isInteger);
        }

        Threads = WorkCost.Threads(total, maxThreads);
        IsWorthWaking = WorkCost.IsWorthWaking(total);
        double perPiece = WorkCost.PerPiece(total, Threads);
        int granules = (outputs + granule - 1) / granule;
        int count = 0;
        for (int g = 0; g < plan.GroupCount; g++)
        {
            count += PiecesOf(plan.Groups[g]);
        }

        _pieces = _buffer.Get<Piece>(count);
        Count = 0;
        for (int g = 0; g < plan.GroupCount; g++)
        {
            int pieces = PiecesOf(plan.Groups[g]);
            int length = (granules + pieces - 1) / pieces * granule;
            for (int first = 0; first < outputs; first += length)
            {
                _pieces[Count++] = new Piece { Group = g, First = first, Count = Math.Min(length, outputs - first) };
            }
        }

        int PiecesOf(in RowGroup group) =>
            (int)Math.Clamp(WorkCost.Product(matrixBytes, group.Count, weights, isInteger) / perPiece, 1, granules);
    }

    public void Dispose() => _buffer.Dispose();
}
