using KQuant.Codecs.Decoding;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>
/// Groups of float32 rows times their matrices as they are: sums over weight rows. A thread has columns of its own, so that no sum
/// depends on how many there are.
/// </summary>
internal sealed unsafe class TransposedWork : ParallelWork, IDisposable
{
    private const int ColumnsAtOnce = 1024;
    private const int SmallestGranule = 64;

    private readonly PieceList _pieces = new();
    private WeightStack _weights;
    private RowPlan _plan = null!;
    private float** _rows;
    private FloatKernel _kernel = null!;
    private DecodeKernel _decoder = null!;

    /// <summary>Multiplies every group of the plan.</summary>
    public void Run(in WeightStack weights, float** rows, RowPlan plan, WorkTeam team, CancellationToken cancellation)
    {
        _weights = weights;
        _plan = plan;
        _rows = rows;
        _kernel = team.Kernels.Float32;
        _decoder = team.Kernels.Decoder(weights.Codec);
        int granule = Math.Max(SmallestGranule, weights.Codec.WeightsPerBlock);
        _pieces.Cut(plan, weights.MatrixBytes, weights.Columns, weights.Rows, granule, isInteger: false, team.MaxThreads);
        team.Run(this, _pieces.Count, _pieces.Threads, _pieces.IsWorthWaking, cancellation);
    }

    public void Dispose() => _pieces.Dispose();

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        ref readonly Piece range = ref _pieces[piece];
        ref RowGroup group = ref _plan.Groups[range.Group];
        nint stride = ColumnsAtOnce + FloatKernel.Lanes;
        float* decoded = scratch.Get<float>(FloatKernel.RowBlock * stride);
        var task = new TransposedTask
        {
            Weights = decoded,
            WeightStride = stride,
            Rows = _rows + group.First,
            RowCount = group.Count,
            Outputs = _plan.Outputs + group.First,
        };
        for (int k = range.First; k < range.First + range.Count; k += ColumnsAtOnce)
        {
            task.Columns = Math.Min(ColumnsAtOnce, range.First + range.Count - k);
            task.FirstOutput = k;
            task.Accumulate = false;
            for (int n = 0; n < _weights.Rows; n += FloatKernel.RowBlock)
            {
                task.WeightRows = Math.Min(FloatKernel.RowBlock, _weights.Rows - n);
                task.FirstWeightRow = n;
                TileDecoder.Decode(_weights, _decoder, group.Matrix, n, task.WeightRows, k, task.Columns, decoded, stride);
                _kernel.MultiplyTransposed(task);
                task.Accumulate = true;
            }
        }
    }
}
