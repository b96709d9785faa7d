using KQuant.Codecs.Decoding;
using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>Decodes rows of a matrix.</summary>
internal sealed unsafe class LookupWork : ParallelWork
{
    private WeightStack _weights;
    private DecodeKernel _decoder = null!;
    private int* _rows;
    private int _count;
    private float* _output;
    private int _rowsPerPiece;

    /// <summary>Decodes.</summary>
    public void Run(in WeightStack weights, int* rows, int count, float* output, WorkTeam team, CancellationToken cancellation)
    {
        _weights = weights;
        _decoder = team.Kernels.Decoder(weights.Codec);
        _rows = rows;
        _count = count;
        _output = output;
        double cost = WorkCost.Preparation((nint)count * weights.Columns);
        int threads = WorkCost.Threads(cost, team.MaxThreads);
        _rowsPerPiece = (int)Math.Max(1, count * WorkCost.PerPiece(cost, threads) / cost);
        team.Run(this, (count + _rowsPerPiece - 1) / _rowsPerPiece, threads, WorkCost.IsWorthWaking(cost), cancellation);
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch)
    {
        int end = Math.Min(_count, (piece + 1) * _rowsPerPiece);
        for (int i = piece * _rowsPerPiece; i < end; i++)
        {
            float* output = _output + ((nint)i * _weights.Columns);
            _decoder.Run(_weights.Row(0, _rows[i]), output, _weights.Columns / _weights.Codec.WeightsPerBlock);
            _weights.Transform?.ApplyTransposed(new Span<float>(output, _weights.Columns));
        }
    }
}
