using KQuant.Codecs;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Groups of int8 rows times their matrices.</summary>
internal sealed unsafe class IntegerWork : ParallelWork, IDisposable
{
    private readonly PieceList _pieces = new();
    private readonly ArrangeWork _arrange = new();
    private WeightStack _weights;
    private ActivationView _activations;
    private RowPlan _plan = null!;

    /// <summary>Multiplies every group of the plan.</summary>
    public void Run(
        in WeightStack weights, in ActivationView activations, RowPlan plan, WorkTeam team, CancellationToken cancellation)
    {
        _weights = weights;
        _activations = activations;
        _plan = plan;
        _arrange.Run(weights, activations, plan, team, cancellation);
        _pieces.Cut(plan, weights.MatrixBytes, weights.Rows, weights.Columns, _arrange.Granule, isInteger: true, team.MaxThreads);
        team.Run(this, _pieces.Count, _pieces.Threads, _pieces.IsWorthWaking, cancellation);
    }

    public void Dispose()
    {
        _pieces.Dispose();
        _arrange.Dispose();
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        ref readonly Piece range = ref _pieces[piece];
        ref RowGroup group = ref _plan.Groups[range.Group];
        ProductKernel kernel = _arrange.Kernel(range.Group);
        nint kernelBytes = AlignedBuffer.RoundUp(kernel.GetScratchBytes(_weights.Units));
        byte* memory = scratch.Get(kernelBytes + (sizeof(float*) * Math.Min(group.Count, kernel.MaxRows)));
        var task = new ProductTask
        {
            Weights = _weights.Matrix(group.Matrix, kernel) + (range.First * _weights.RowBytes),
            WeightRowBytes = _weights.RowBytes,
            WeightRows = range.Count,
            Units = _weights.Units,
            TailBlocks = _weights.TailBlocks,
            Activations = _arrange.Activations(range.Group),
            Outputs = (float**)(memory + kernelBytes),
        };
        if (!_weights.IsSinglePlane)
        {
            PlanePointers row = _weights.Row(group.Matrix, range.First);
            task.Scales = row.Scales;
            task.ScaleRowBytes = _weights.ScaleRowBytes;
            task.Biases = row.Biases;
            task.BiasRowBytes = _weights.BiasRowBytes;
        }

        // More rows than the kernel takes at once: the weights of a piece are still in the cache when the next rows meet them.
        for (int first = 0; first < group.Count; first += task.Rows)
        {
            task.Rows = Math.Min(kernel.MaxRows, group.Count - first);
            for (int r = 0; r < task.Rows; r++)
            {
                task.Outputs[r] = _plan.Outputs[group.First + first + r] + range.First;
            }

            kernel.Run(task, memory);
            for (int r = 0; r < task.Rows; r++)
            {
                HugeRows.Restore(task.Outputs[r], range.Count, _activations.Sizes[_plan.Slots[group.First + first + r]]);
            }

            task.Activations += ArrangeWork.GetBytes(kernel, task.Rows, _weights.Units);
        }

        _plan.AddBias(group, _weights.Bias(group.Matrix), range.First, range.Count);
    }
}
