namespace KQuant.Models.Transformers;

/// <summary>Lets one caller at a time do something, in the order in which they came. Who waits can give up.</summary>
internal sealed class TurnQueue
{
    private readonly Lock _gate = new();
    private readonly LinkedList<TaskCompletionSource> _waiting = [];
    private bool _isTaken;

    /// <summary>Callers that wait.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>Waits for the caller's turn, which lasts until <see cref="Pass"/>.</summary>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="OperationCanceledException">It was cancelled; the turn is another's.</exception>
    public void Take(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        TaskCompletionSource turn;
        lock (_gate)
        {
            if (!_isTaken)
            {
                _isTaken = true;
                return;
            }

            turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.AddLast(turn);
        }

        try
        {
            turn.Task.Wait(cancellation);
        }
        catch (OperationCanceledException)
        {
            bool hasCome;
            lock (_gate)
            {
                hasCome = !_waiting.Remove(turn);
            }

            if (hasCome)
            {
                Pass();
            }

            throw;
        }
    }

    /// <summary>Ends a turn: the next one comes.</summary>
    public void Pass()
    {
        lock (_gate)
        {
            if (_waiting.First is { } next)
            {
                _waiting.RemoveFirst();
                next.Value.SetResult();
            }
            else
            {
                _isTaken = false;
            }
        }
    }
}
