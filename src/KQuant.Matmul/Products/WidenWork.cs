using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>
/// Activation rows as the float kernels want them: float32, with zeros up to a multiple of sixteen and, where there are enough rows to
/// repay a copy, each on its own cache lines.
/// </summary>
internal sealed unsafe class WidenWork : ParallelWork, IDisposable
{
    // Unaligned rows cost a float kernel about 5 %; copying them costs as much as multiplying them by a few dozen weight rows.
    private const int RowsWorthAligning = 12;

    private readonly AlignedBuffer _buffer = new();
    private readonly AlignedBuffer _pointers = new();
    private RowSource _source;
    private RowPlan _plan = null!;
    private DecodeKernel _widen = null!;
    private ActivationTransform? _transform;
    private float* _packed;
    private nint _stride;
    private int _rowsPerPiece;

    /// <summary>For each row of each group of the plan, its values.</summary>
    public float** Rows { get; private set; }

    /// <summary>Prepares the rows of all slots.</summary>
    /// <param name="source">The caller's rows.</param>
    /// <param name="plan">Which of them are needed.</param>
    /// <param name="needsPadding">Whether the kernel reads whole vectors of a row.</param>
    /// <param name="transform">What happens to each row first; null for nothing.</param>
    /// <param name="team">Memory and threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(
        in RowSource source,
        RowPlan plan,
        bool needsPadding,
        ActivationTransform? transform,
        WorkTeam team,
        CancellationToken cancellation)
    {
        _transform = transform;
        _source = source;
        _plan = plan;
        Rows = (float**)_pointers.Get<nint>(plan.RowCount);
        bool copy = source.Format != QuantFormat.F32 || transform is not null
            || (needsPadding && (source.Columns % FloatKernel.Lanes != 0 || plan.SlotCount >= RowsWorthAligning));
        if (copy)
        {
            Copy(team, cancellation);
        }

        for (int r = 0; r < plan.RowCount; r++)
        {
            int slot = plan.Slots[r];
            Rows[r] = copy ? _packed + (slot * _stride) : (float*)source.Row(plan.SlotRows[slot]);
        }
    }

    public void Dispose()
    {
        _buffer.Dispose();
        _pointers.Dispose();
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int end = Math.Min(_plan.SlotCount, (piece + 1) * _rowsPerPiece);
        for (int slot = piece * _rowsPerPiece; slot < end; slot++)
        {
            float* row = _packed + (slot * _stride);
            _widen.Run(_source.Row(_plan.SlotRows[slot]), row, _source.Columns);
            _transform?.Apply(new Span<float>(row, _source.Columns));
            new Span<float>(row + _source.Columns, (int)_stride - _source.Columns).Clear();
        }
    }

    private void Copy(WorkTeam team, CancellationToken cancellation)
    {
        // One line more than the values need: rows at multiples of 4096 bytes would share the sets of the first-level cache.
        _stride = ((_source.Columns + FloatKernel.Lanes - 1) & ~(FloatKernel.Lanes - 1)) + FloatKernel.Lanes;
        _packed = _buffer.Get<float>(_plan.SlotCount * _stride);
        _widen = team.Kernels.Decoder(QuantCodec.Get(_source.Format));
        double cost = WorkCost.Preparation(_plan.SlotCount * _stride);
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _rowsPerPiece = (int)Math.Max(1, _plan.SlotCount * WorkCost.PerPiece(cost, threads) / cost);
        int pieces = (_plan.SlotCount + _rowsPerPiece - 1) / _rowsPerPiece;
        team.Run(this, pieces, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }
}
