using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>Pieces of work that a caller brings.</summary>
internal sealed unsafe class CallerWork : ParallelWork
{
    private IParallelWork? _work;
    private int _scratchLength;

    /// <summary>Runs the pieces.</summary>
    /// <param name="work">The work.</param>
    /// <param name="pieces">How many pieces it has.</param>
    /// <param name="scratchLength">Values of scratch memory that a piece needs.</param>
    /// <param name="wake">Whether it is worth waking threads that sleep.</param>
    /// <param name="team">Threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(IParallelWork work, int pieces, int scratchLength, bool wake, WorkTeam team, CancellationToken cancellation)
    {
        _work = work;
        _scratchLength = scratchLength;
        try
        {
            team.Run(this, pieces, team.MaxThreads, wake, cancellation);
        }
        finally
        {
            _work = null;
        }
    }

    protected override void RunPiece(int piece, AlignedBuffer scratch) =>
        _work!.RunPiece(piece, new Span<float>(scratch.Get<float>(_scratchLength), _scratchLength));
}
