using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace KQuant.Matmul.Scheduling;

/// <summary>
/// Numbered pieces of work that any thread may take, in any order. The object belongs to one caller, who sets it up, runs it through
/// <see cref="WorkerPool.Run"/> and uses it again: running it allocates nothing.
/// </summary>
internal abstract class ParallelWork
{
    private const int Open = 1 << 30;

    private Counters _shared;
    private int _pieces;
    private int _maxHelpers;
    private CancellationToken _cancellation;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Does one piece.</summary>
    /// <param name="piece">Its number.</param>
    /// <param name="scratch">Memory of the thread that runs it.</param>
    protected abstract void RunPiece(int piece, AlignedBuffer scratch);

    /// <summary>All pieces on the calling thread, in order.</summary>
    internal void RunAlone(int pieces, AlignedBuffer scratch, CancellationToken cancellation)
    {
        for (int piece = 0; piece < pieces; piece++)
        {
            cancellation.ThrowIfCancellationRequested();
            RunPiece(piece, scratch);
        }
    }

    /// <summary>Lets helpers in.</summary>
    internal void Start(int pieces, int maxHelpers, CancellationToken cancellation)
    {
        _pieces = pieces;
        _maxHelpers = maxHelpers;
        _cancellation = cancellation;
        _failure = null;
        _shared.Next = 0;
        Volatile.Write(ref _shared.Helpers, Open);
    }

    /// <summary>Whether a helper would find something to do.</summary>
    internal bool WantsHelpers => WantsMore(Volatile.Read(ref _shared.Helpers));

    /// <summary>Enters a helper, unless everything is taken, enough are there, or the work is over.</summary>
    internal bool TryJoin()
    {
        while (true)
        {
            int helpers = Volatile.Read(ref _shared.Helpers);
            if (!WantsMore(helpers))
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _shared.Helpers, helpers + 1, helpers) == helpers)
            {
                return true;
            }
        }
    }

    /// <summary>Leaves; the helper must not touch the work any more.</summary>
    internal void Leave() => Interlocked.Decrement(ref _shared.Helpers);

    /// <summary>Takes pieces until none is left. Never throws: a failure ends the work for everyone and waits for <see cref="Finish"/>.</summary>
    internal void Participate(AlignedBuffer scratch)
    {
        try
        {
            int piece;
            while ((piece = Interlocked.Increment(ref _shared.Next) - 1) < _pieces)
            {
                _cancellation.ThrowIfCancellationRequested();
                RunPiece(piece, scratch);
            }
        }
#pragma warning disable CA1031 // Whatever went wrong is thrown again where the caller can catch it.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(exception), null);
            Volatile.Write(ref _shared.Next, _pieces);
        }
    }

    /// <summary>Keeps further helpers out, waits until the others have left, and throws what any of them met.</summary>
    internal void Finish()
    {
        Interlocked.Add(ref _shared.Helpers, -Open);
        for (int spins = 0; Volatile.Read(ref _shared.Helpers) != 0; spins++)
        {
            // A helper is finishing its last piece: microseconds, unless the system gave its core to someone else, and then it needs one.
            // Nothing here may throw (as Sleep does on a thread that is interrupted): helpers still use the caller's memory.
            if (spins < 200)
            {
                Thread.SpinWait(4);
            }
            else
            {
                Thread.Yield();
            }
        }

        _cancellation = default;
        _failure?.Throw();
    }

    private bool WantsMore(int helpers) =>
        helpers >= Open && helpers - Open < _maxHelpers && Volatile.Read(ref _shared.Next) < _pieces;

    // On cache lines of their own: threads hammer Next while others poll Helpers and read the work's own fields.
    [StructLayout(LayoutKind.Explicit, Size = 384)]
    private struct Counters
    {
        [FieldOffset(128)]
        public int Next;

        [FieldOffset(256)]
        public int Helpers;
    }
}
