namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Some threads that do the same thing at the same time. The calling thread is one of them.</summary>
internal sealed class Team : IDisposable
{
    private readonly Barrier _barrier;
    private readonly Thread[] _others;
    private Action<int>? _work;

    /// <param name="members">How many.</param>
    public Team(int members)
    {
        Members = members;
        _barrier = new Barrier(members);
        _others = new Thread[members - 1];
        for (int i = 0; i < _others.Length; i++)
        {
            int member = i + 1;
            _others[i] = new Thread(() => Take(member)) { IsBackground = true };
            _others[i].Start();
        }
    }

    public int Members { get; }

    /// <summary>Every member does it once.</summary>
    /// <param name="work">What to do, given the number of the member.</param>
    public void Run(Action<int> work)
    {
        _work = work;
        _barrier.SignalAndWait();
        work(0);
        _barrier.SignalAndWait();
    }

    public void Dispose()
    {
        _work = null;
        _barrier.SignalAndWait();
        foreach (Thread other in _others)
        {
            other.Join();
        }

        _barrier.Dispose();
    }

    private void Take(int member)
    {
        _barrier.SignalAndWait();
        while (_work is { } work)
        {
            work(member);
            _barrier.SignalAndWait();
            _barrier.SignalAndWait();
        }
    }
}
