using KQuant.Codecs.Decoding;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>Groups of float32 rows times the transposes of their matrices, which are decoded tile by tile.</summary>
internal sealed unsafe class FloatWork : ParallelWork, IDisposable
{
    // Weight rows decoded together. With a block of 1024 columns many of them take 256 KiB, a quarter of a second-level cache, and a tile of
    // activations comes from further away once per that many rows. The fewer activation rows, the closer the weights should be.
    private const int ManyWeightRows = 64;
    private const int SomeWeightRows = 16;
    private const int SomeRows = 48;
    private const int FewWeightRows = 4;
    private const int FewRows = 6;

    private readonly PieceList _pieces = new();
    private WeightStack _weights;
    private RowPlan _plan = null!;
    private float** _rows;
    private FloatKernel _kernel = null!;
    private FloatKernel? _direct;
    private DecodeKernel _decoder = null!;

    /// <summary>Multiplies every group of the plan.</summary>
    public void Run(in WeightStack weights, float** rows, RowPlan plan, WorkTeam team, CancellationToken cancellation)
    {
        Prepare(weights, rows, plan, team);
        int granule = plan.RowCount <= FewRows * plan.GroupCount ? FewWeightRows : Granule(weights.Rows, team.MaxThreads);
        _pieces.Cut(plan, weights.MatrixBytes, weights.Rows, weights.Columns, granule, isInteger: false, team.MaxThreads);
        team.Run(this, _pieces.Count, _pieces.Threads, _pieces.IsWorthWaking, cancellation);
    }

    /// <summary>Takes what single rows of a matrix are multiplied with: <see cref="MultiplyRow"/>, on any thread.</summary>
    public void Prepare(in WeightStack weights, float** rows, RowPlan plan, WorkTeam team)
    {
        _weights = weights;
        _plan = plan;
        _rows = rows;
        _kernel = team.Kernels.Float32;
        _direct = weights.Codec.IsQuantized || weights.Columns % FloatKernel.Lanes != 0 ? null : team.Kernels.Float(weights.Codec);
        _decoder = team.Kernels.Decoder(weights.Codec);
    }

    /// <summary>A row of the first matrix times the first activation row.</summary>
    public void MultiplyRow(int row, float* result, AlignedBuffer scratch)
    {
        // Kernels count outputs from the first row of the matrix.
        float* outputs = result - row;
        var task = new FloatTask { Rows = _rows, RowCount = 1, Outputs = &outputs };
        var group = new RowGroup { Count = 1 };
        var range = new Piece { First = row, Count = 1 };
        if (_direct is not null)
        {
            MultiplyDirectly(task, group, range, _direct);
        }
        else
        {
            DecodeAndMultiply(task, group, range, scratch);
        }
    }

    public void Dispose() => _pieces.Dispose();

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        ref readonly Piece range = ref _pieces[piece];
        ref RowGroup group = ref _plan.Groups[range.Group];
        var task = new FloatTask
        {
            Rows = _rows + group.First,
            RowCount = group.Count,
            Outputs = _plan.Outputs + group.First,
        };
        if (_direct is not null && group.Count <= _direct.DirectRows)
        {
            MultiplyDirectly(task, group, range, _direct);
        }
        else
        {
            DecodeAndMultiply(task, group, range, scratch);
        }

        _plan.AddBias(group, _weights.Bias(group.Matrix), range.First, range.Count);
    }

    private void MultiplyDirectly(FloatTask task, in RowGroup group, in Piece range, FloatKernel kernel)
    {
        // With more than one tile of activation rows, the next tile must find the weights in the cache.
        int rowsAtOnce = group.Count <= FewRows ? range.Count : SomeWeightRows;
        int rowsAhead = group.Count <= FewRows ? FewWeightRows : SomeWeightRows;
        task.Columns = _weights.Columns;
        task.WeightRowBytes = _weights.RowBytes;
        task.AheadRowBytes = _weights.RowBytes;
        task.AheadStep = _weights.BytesOf(FloatKernel.Lanes);
        for (int n = range.First; n < range.First + range.Count; n += rowsAtOnce)
        {
            task.Weights = _weights.Matrix(group.Matrix) + (n * _weights.RowBytes);
            task.WeightRows = Math.Min(rowsAtOnce, range.First + range.Count - n);
            task.FirstOutput = n;
            task.Ahead = task.Weights + (rowsAhead * _weights.RowBytes);
            kernel.Multiply(task);
        }
    }

    private void DecodeAndMultiply(FloatTask task, in RowGroup group, in Piece range, AlignedBuffer scratch)
    {
        int rowsAtOnce = RowsAtOnce(group.Count);
        nint stride = FloatKernel.ColumnBlock + FloatKernel.Lanes;
        float* decoded = scratch.Get<float>(rowsAtOnce * stride);
        task.Weights = (byte*)decoded;
        task.WeightRowBytes = stride * sizeof(float);
        task.AheadRowBytes = _weights.RowBytes;
        task.AheadStep = _weights.BytesOf(FloatKernel.Lanes);
        for (int n = range.First; n < range.First + range.Count; n += rowsAtOnce)
        {
            byte* weights = _weights.Matrix(group.Matrix) + (n * _weights.RowBytes);
            task.WeightRows = Math.Min(rowsAtOnce, range.First + range.Count - n);
            task.FirstOutput = n;
            task.Accumulate = false;
            for (int k = 0; k < _weights.Columns; k += FloatKernel.ColumnBlock)
            {
                // What is decoded next: the rest of these rows, or the rows below.
                int columns = Math.Min(FloatKernel.ColumnBlock, _weights.Columns - k);
                task.Ahead = k + columns < _weights.Columns
                    ? weights + _weights.BytesOf(k + columns)
                    : weights + (rowsAtOnce * _weights.RowBytes);
                task.FirstColumn = k;
                task.Columns = TileDecoder.Decode(_weights, _decoder, group.Matrix, n, task.WeightRows, k, columns, decoded, stride);
                _kernel.Multiply(task);
                task.Accumulate = true;
            }
        }
    }

    private static int RowsAtOnce(int activationRows) =>
        activationRows <= FewRows ? FewWeightRows : activationRows <= SomeRows ? SomeWeightRows : ManyWeightRows;

    // Fewer weight rows at once rather than idle threads.
    private static int Granule(int weightRows, int threads)
    {
        int granule = ManyWeightRows;
        while (granule > FewWeightRows && weightRows / granule < 2 * threads)
        {
            granule /= 2;
        }

        return granule;
    }
}
