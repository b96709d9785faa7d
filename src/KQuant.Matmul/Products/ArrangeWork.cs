using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Chooses a kernel for every group and lays out the group's int8 rows as that kernel wants them.</summary>
internal sealed unsafe class ArrangeWork : ParallelWork, IDisposable
{
    private readonly AlignedBuffer _buffer = new();
    private readonly AlignedBuffer _offsetBuffer = new();
    private ProductKernel[] _kernels = new ProductKernel[1];
    private ActivationView _source;
    private RowPlan _plan = null!;
    private byte* _arranged;
    private nint* _offsets;

    /// <summary>What pieces of weight rows are multiples of.</summary>
    public int Granule { get; private set; }

    /// <summary>The kernel of a group.</summary>
    public ProductKernel Kernel(int group) => _kernels[group];

    /// <summary>The activations of a group: as many rows as the kernel takes, then the next ones.</summary>
    public byte* Activations(int group) => _arranged + _offsets[group];

    /// <summary>Bytes that rows take, with what keeps the next ones aligned.</summary>
    public static nint GetBytes(ProductKernel kernel, int rows, int units) => AlignedBuffer.RoundUp(kernel.GetActivationBytes(rows, units));

    /// <summary>Arranges all groups.</summary>
    public void Run(
        in WeightStack weights, in ActivationView activations, RowPlan plan, WorkTeam team, CancellationToken cancellation)
    {
        _source = activations;
        _plan = plan;
        if (_kernels.Length < plan.GroupCount)
        {
            _kernels = new ProductKernel[Math.Max(plan.GroupCount, 2 * _kernels.Length)];
        }

        _offsets = _offsetBuffer.Get<nint>(plan.GroupCount);
        Granule = 1;
        nint bytes = 0;
        for (int g = 0; g < plan.GroupCount; g++)
        {
            int count = plan.Groups[g].Count;
            ProductKernel kernel = team.Kernels.Integer(weights.Codec, count, weights.Packed?.Kernel)!;
            _kernels[g] = kernel;
            _offsets[g] = bytes;
            Granule = Math.Max(Granule, kernel.Granule);
            for (int first = 0, rows; first < count; first += rows)
            {
                rows = Math.Min(kernel.MaxRows, count - first);
                bytes += GetBytes(kernel, rows, weights.Units);
            }
        }

        _arranged = _buffer.Get(bytes);
        double cost = WorkCost.Preparation(bytes);
        team.Run(this, plan.GroupCount, WorkCost.Threads(cost, team.MaxThreads), WorkCost.IsWorthWaking(cost), cancellation);
    }

    public void Dispose()
    {
        _buffer.Dispose();
        _offsetBuffer.Dispose();
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        ref RowGroup group = ref _plan.Groups[piece];
        ProductKernel kernel = _kernels[piece];
        byte* destination = Activations(piece);
        for (int first = 0, rows; first < group.Count; first += rows)
        {
            rows = Math.Min(kernel.MaxRows, group.Count - first);
            kernel.Arrange(_source, _plan.Slots + group.First + first, rows, destination);
            destination += GetBytes(kernel, rows, _source.Units);
        }
    }
}
