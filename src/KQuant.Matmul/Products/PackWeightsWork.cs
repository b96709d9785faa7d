using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Arranges the rows of matrices for a packed kernel.</summary>
internal sealed unsafe class PackWeightsWork : ParallelWork
{
    private const int BytesPerPiece = 1 << 20;

    private WeightStack _weights;
    private PackedWeights _packed = null!;
    private int _rowsPerPiece;
    private int _piecesPerMatrix;

    /// <summary>Arranges all matrices.</summary>
    public void Run(in WeightStack weights, PackedWeights packed, WorkTeam team, CancellationToken cancellation)
    {
        _weights = weights;
        _packed = packed;
        _rowsPerPiece = (int)PackedWeights.RoundUp(Math.Clamp(BytesPerPiece / weights.RowBytes, 1, weights.Rows), packed.Kernel.Granule);
        _piecesPerMatrix = (weights.Rows + _rowsPerPiece - 1) / _rowsPerPiece;
        int pieces = checked(packed.Matrices * _piecesPerMatrix);
        team.Run(this, pieces, team.MaxThreads, wake: true, cancellation);
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        ProductKernel kernel = _packed.Kernel;
        (int matrix, int part) = Math.DivRem(piece, _piecesPerMatrix);
        int first = part * _rowsPerPiece;
        nint offset = first * _weights.RowBytes;
        kernel.Pack(
            _weights.Matrix(matrix) + offset,
            _weights.RowBytes,
            Math.Min(_rowsPerPiece, _weights.Rows - first),
            _weights.Units,
            _weights.TailBlocks,
            _packed.Pointer + (matrix * _packed.MatrixBytes) + offset);
    }
}
