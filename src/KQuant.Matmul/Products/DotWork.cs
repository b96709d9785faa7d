using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Single rows of a matrix, wherever they lie, times one row of activations.</summary>
internal sealed unsafe class DotWork(FloatWork floats) : ParallelWork, IDisposable
{
    // A row that is not in the cache takes about this long to come, in nanoseconds, however short it is.
    private const double Latency = 100;

    // How many rows ahead memory is asked for: about what a core keeps under way.
    private const int RowsAhead = 4;
    private const int LineBytes = 64;

    private readonly AlignedBuffer _buffer = new();
    private WeightStack _weights;
    private ProductKernel? _kernel;
    private byte* _arranged;
    private long* _ids;
    private int _count;
    private float* _scores;
    private int _rowsPerPiece;

    /// <summary>Scores with an int8 query, the first row of a view.</summary>
    public void Run(in WeightStack weights, in ActivationView query, long* ids, int count, float* scores, WorkTeam team, CancellationToken cancellation)
    {
        _kernel = team.Kernels.Integer(weights.Codec, 1)!;
        _arranged = _buffer.Get(_kernel.GetActivationBytes(1, weights.Units));
        _kernel.Arrange(query, null, 1, _arranged);
        Run(weights, ids, count, scores, isInteger: true, team, cancellation);
    }

    /// <summary>Scores with a float32 query, which the float product was prepared for.</summary>
    public void RunInFloat(in WeightStack weights, long* ids, int count, float* scores, WorkTeam team, CancellationToken cancellation)
    {
        _kernel = null;
        Run(weights, ids, count, scores, isInteger: false, team, cancellation);
    }

    public void Dispose() => _buffer.Dispose();

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int first = piece * _rowsPerPiece, end = Math.Min(_count, first + _rowsPerPiece);
        if (_kernel is ProductKernel kernel)
        {
            Multiply(kernel, first, end, scratch);
            return;
        }

        for (int i = first; i < end; i++)
        {
            Fetch(i + RowsAhead, end);
            floats.MultiplyRow((int)_ids[i], _scores + i, scratch);
        }
    }

    private void Run(in WeightStack weights, long* ids, int count, float* scores, bool isInteger, WorkTeam team, CancellationToken cancellation)
    {
        _weights = weights;
        _ids = ids;
        _count = count;
        _scores = scores;
        double cost = count * (Latency + WorkCost.Product(weights.RowBytes, 1, weights.Columns, isInteger));
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _rowsPerPiece = (int)Math.Max(1, count * WorkCost.PerPiece(cost, threads) / cost);
        team.Run(this, (count + _rowsPerPiece - 1) / _rowsPerPiece, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }

    private void Multiply(ProductKernel kernel, int first, int end, AlignedBuffer scratch)
    {
        nint kernelBytes = AlignedBuffer.RoundUp(kernel.GetScratchBytes(_weights.Units));
        byte* memory = scratch.Get(kernelBytes + sizeof(float*));
        var task = new ProductTask
        {
            WeightRowBytes = _weights.RowBytes,
            ScaleRowBytes = _weights.ScaleRowBytes,
            BiasRowBytes = _weights.BiasRowBytes,
            WeightRows = 1,
            Units = _weights.Units,
            TailBlocks = _weights.TailBlocks,
            Activations = _arranged,
            Rows = 1,
            Outputs = (float**)(memory + kernelBytes),
        };
        for (int i = first; i < end; i++)
        {
            Fetch(i + RowsAhead, end);
            PlanePointers row = _weights.Row(0, (nint)_ids[i]);
            task.Weights = row.Codes;
            task.Scales = row.Scales;
            task.Biases = row.Biases;
            task.Outputs[0] = _scores + i;
            kernel.Run(task, memory);
        }
    }

    private void Fetch(int i, int end)
    {
        if (Sse.IsSupported && i < end)
        {
            byte* row = _weights.Row(0, (nint)_ids[i]).Codes;
            for (nint at = 0; at < _weights.RowBytes; at += LineBytes)
            {
                Sse.Prefetch0(row + at);
            }
        }
    }
}
