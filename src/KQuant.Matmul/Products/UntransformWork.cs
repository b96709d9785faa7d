using KQuant.Codecs;
using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>The transpose of what happens to activations, for rows that were multiplied by weights as they are stored.</summary>
internal sealed unsafe class UntransformWork : ParallelWork
{
    private ActivationTransform _transform = null!;
    private RowPlan _plan = null!;
    private int _columns;

    /// <summary>Changes the outputs of the plan.</summary>
    public void Run(ActivationTransform transform, RowPlan plan, int columns, WorkTeam team, CancellationToken cancellation)
    {
        _transform = transform;
        _plan = plan;
        _columns = columns;
        double cost = WorkCost.Preparation((nint)plan.RowCount * columns);
        team.Run(this, plan.RowCount, WorkCost.Threads(cost, team.MaxThreads), WorkCost.IsWorthWaking(cost), cancellation);
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch) => _transform.ApplyTransposed(new Span<float>(_plan.Outputs[piece], _columns));
}
