using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>Copies results that several entries of a gather have in common.</summary>
internal sealed unsafe class CopyWork : ParallelWork
{
    private RowPlan _plan = null!;
    private int _columns;
    private int _rowsPerPiece;

    /// <summary>Copies.</summary>
    public void Run(RowPlan plan, int columns, WorkTeam team, CancellationToken cancellation)
    {
        if (plan.CopyCount == 0)
        {
            return;
        }

        _plan = plan;
        _columns = columns;
        double cost = WorkCost.Preparation((nint)plan.CopyCount * columns);
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _rowsPerPiece = (int)Math.Max(1, plan.CopyCount * WorkCost.PerPiece(cost, threads) / cost);
        int pieces = (plan.CopyCount + _rowsPerPiece - 1) / _rowsPerPiece;
        team.Run(this, pieces, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int end = Math.Min(_plan.CopyCount, (piece + 1) * _rowsPerPiece);
        for (int i = piece * _rowsPerPiece; i < end; i++)
        {
            ref RowCopy copy = ref _plan.Copies[i];
            new ReadOnlySpan<float>(copy.Source, _columns).CopyTo(new Span<float>(copy.Destination, _columns));
        }
    }
}
