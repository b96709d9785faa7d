using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Products;

/// <summary>Activation rows to int8, each on its own.</summary>
internal sealed unsafe class QuantizeWork : ParallelWork, IDisposable
{
    private readonly AlignedBuffer _buffer = new();
    private RowSource _source;
    private RowPlan _plan = null!;
    private DecodeKernel? _widen;
    private ActivationTransform? _transform;
    private ActivationQuantizer _quantizer = null!;
    private int _rowsPerPiece;
    private ActivationView _view;

    /// <summary>The quantized rows, one per slot of the plan.</summary>
    public ref readonly ActivationView View => ref _view;

    /// <summary>Quantizes the rows of all slots.</summary>
    public void Run(
        in RowSource source,
        RowPlan plan,
        ActivationScheme scheme,
        ActivationTransform? transform,
        WorkTeam team,
        CancellationToken cancellation)
    {
        _transform = transform;
        _source = source;
        _plan = plan;
        _widen = source.Format == QuantFormat.F32 ? null : team.Kernels.Decoder(QuantCodec.Get(source.Format));
        _view = Reserve(plan.SlotCount, (source.Columns + 255) / 256, scheme);
        _quantizer = team.Kernels.Quantizer;
        double cost = WorkCost.Preparation((nint)plan.SlotCount * source.Columns);
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _rowsPerPiece = (int)Math.Max(1, plan.SlotCount * WorkCost.PerPiece(cost, threads) / cost);
        int pieces = (plan.SlotCount + _rowsPerPiece - 1) / _rowsPerPiece;
        team.Run(this, pieces, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }

    public void Dispose() => _buffer.Dispose();

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int end = Math.Min(_plan.SlotCount, (piece + 1) * _rowsPerPiece);
        for (int slot = piece * _rowsPerPiece; slot < end; slot++)
        {
            byte* row = _source.Row(_plan.SlotRows[slot]);
            if (_widen is not null)
            {
                float* widened = scratch.Get<float>(_source.Columns);
                _widen.Run(row, widened, _source.Columns);
                row = (byte*)widened;
            }

            if (_transform is not null)
            {
                row = Transform(row, scratch);
            }

            _quantizer.Quantize((float*)row, _source.Columns, _view, slot);
            _view.Sizes[slot] = HugeRows.Reduce(_view, slot);
        }
    }

    private byte* Transform(byte* row, AlignedBuffer scratch)
    {
        float* transformed = scratch.Get<float>(_source.Columns);
        var values = new Span<float>(transformed, _source.Columns);
        if (row != transformed)
        {
            new ReadOnlySpan<float>(row, _source.Columns).CopyTo(values);
        }

        _transform!.Apply(values);
        return (byte*)transformed;
    }

    private ActivationView Reserve(int rows, int units, ActivationScheme scheme)
    {
        var view = new ActivationView { CodeStride = 256 * units, Units = units, Scheme = scheme };
        nint codes = AlignedBuffer.RoundUp(rows * view.CodeStride);
        nint scales = AlignedBuffer.RoundUp(sizeof(float) * (nint)rows * units * view.ScalesPerUnit);
        nint sums = AlignedBuffer.RoundUp(sizeof(short) * (nint)rows * units * view.SumsPerUnit);
        byte* start = _buffer.Get(codes + scales + sums + (sizeof(float) * (nint)rows));
        view.Codes = (sbyte*)start;
        view.Scales = (float*)(start + codes);
        view.Sums = (short*)(start + codes + scales);
        view.Sizes = (float*)(start + codes + scales + sums);
        return view;
    }
}
