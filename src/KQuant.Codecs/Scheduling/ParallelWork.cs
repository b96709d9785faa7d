using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Scheduling;

/// <summary>
/// Numbered pieces of work that any thread may take, in any order. Each thread starts with a share of its own, piece after piece, because what
/// a piece fetches ahead is the next one's, and then helps with the shares of others. The object belongs to one caller, who sets it up, runs it
/// through <see cref="WorkerPool.Run"/> and uses it again: running it allocates nothing.
/// </summary>
internal abstract class ParallelWork
{
    private const int Open = 1 << 30;

    private Presence _presence;
    private Share[] _shares = new Share[1];
    private int _shareCount;
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
        _maxHelpers = maxHelpers;
        _cancellation = cancellation;
        _failure = null;
        _shareCount = maxHelpers + 1;
        if (_shares.Length < _shareCount)
        {
            _shares = new Share[_shareCount];
        }

        for (int i = 0; i < _shareCount; i++)
        {
            _shares[i].Next = (int)((long)pieces * i / _shareCount);
            _shares[i].End = (int)((long)pieces * (i + 1) / _shareCount);
        }

        Volatile.Write(ref _presence.Helpers, Open);
    }

    /// <summary>Whether a helper would find something to do.</summary>
    internal bool WantsHelpers => WantsMore(Volatile.Read(ref _presence.Helpers));

    /// <summary>Enters a helper, unless everything is taken, enough are there, or the work is over.</summary>
    /// <param name="share">The share to start with.</param>
    internal bool TryJoin(out int share)
    {
        while (true)
        {
            int helpers = Volatile.Read(ref _presence.Helpers);
            share = helpers - Open + 1;
            if (!WantsMore(helpers))
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _presence.Helpers, helpers + 1, helpers) == helpers)
            {
                return true;
            }
        }
    }

    /// <summary>Leaves; the helper must not touch the work any more.</summary>
    internal void Leave() => Interlocked.Decrement(ref _presence.Helpers);

    /// <summary>Takes pieces until none is left. Never throws: a failure ends the work for everyone and waits for <see cref="Finish"/>.</summary>
    /// <param name="first">The share to start with; the caller's is 0.</param>
    /// <param name="scratch">Memory of the thread.</param>
    internal void Participate(int first, AlignedBuffer scratch)
    {
        try
        {
            for (int i = 0; i < _shareCount; i++)
            {
                ref Share share = ref _shares[(first + i) % _shareCount];
                int piece;
                while ((piece = Interlocked.Increment(ref share.Next) - 1) < share.End)
                {
                    _cancellation.ThrowIfCancellationRequested();
                    RunPiece(piece, scratch);
                }
            }
        }
#pragma warning disable CA1031 // Whatever went wrong is thrown again where the caller can catch it.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(exception), null);
            foreach (ref Share share in _shares.AsSpan(0, _shareCount))
            {
                Volatile.Write(ref share.Next, share.End);
            }
        }
    }

    /// <summary>Keeps further helpers out, waits until the others have left, and throws what any of them met.</summary>
    internal void Finish()
    {
        Interlocked.Add(ref _presence.Helpers, -Open);
        for (int spins = 0; Volatile.Read(ref _presence.Helpers) != 0; spins++)
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

    private bool WantsMore(int helpers) => helpers >= Open && helpers - Open < _maxHelpers && HasPieces();

    private bool HasPieces()
    {
        // All there are, since the caller may be setting up its next run: shares that have no part in this one are at their end.
        foreach (ref Share share in _shares.AsSpan())
        {
            if (Volatile.Read(ref share.Next) < share.End)
            {
                return true;
            }
        }

        return false;
    }

    // On cache lines of their own, in pairs as processors fetch them: threads hammer Next while others poll Helpers and read the work's own fields.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Share
    {
        [FieldOffset(0)]
        public int Next;

        [FieldOffset(4)]
        public int End;
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Presence
    {
        [FieldOffset(128)]
        public int Helpers;
    }
}
