namespace KQuant.TestKit;

/// <summary>What code allocates.</summary>
public static class Allocations
{
    private const int Attempts = 20;

    /// <summary>The bytes that <paramref name="action"/> allocates on this thread every time, once what it compiles and remembers is there.</summary>
    /// <remarks>
    /// The runtime counts a thread's share of the heap when it hands it out, and a collection that another thread causes throws the rest of the
    /// share away: a single measurement may show bytes that nobody allocated. What allocates does so each time, so the least one is the answer.
    /// </remarks>
    public static long LeastOf(Action action)
    {
        for (int i = 0; i < 4; i++)
        {
            action();
        }

        long least = long.MaxValue;
        for (int i = 0; i < Attempts && least > 0; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
