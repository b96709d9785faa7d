namespace KQuant.Cli.Benchmarks;

/// <summary>
/// Times several pieces of work against each other on a machine that does other things besides: in turns (A B C, A B C, ...), so that
/// a slow moment hits all of them, and each keeps its best time, which is the one least disturbed.
/// </summary>
internal static class Contest
{
    /// <summary>What the figures mean, for who reads them.</summary>
    public const string Promise = "Best turns, after others that made the runtime compile; compilation is not included.";

    private static readonly TimeSpan BackgroundCompilation = TimeSpan.FromMilliseconds(150);

    /// <summary>Gives the runtime the time to compile all code for speed.</summary>
    /// <param name="contenders">Work that runs the code.</param>
    /// <param name="progress">Told what is happening.</param>
    /// <param name="cancellationToken">Looked at between the contenders.</param>
    public static void WarmUp(IReadOnlyList<Contender> contenders, Action<string> progress, CancellationToken cancellationToken)
    {
        // The runtime compiles in the background and in two steps: with counters, then for speed.
        const int MinSteps = 3, MaxSteps = 12;
        bool faster = true;
        for (int step = 0; step < MaxSteps && (faster || step < MinSteps); step++)
        {
            faster = false;
            ForEach(contenders, contender => faster |= contender.WarmUp(), "warming up", progress, cancellationToken);
            cancellationToken.WaitHandle.WaitOne(BackgroundCompilation);
        }
    }

    /// <summary>Runs the contenders.</summary>
    /// <param name="contenders">What to time.</param>
    /// <param name="rounds">Turns that each gets.</param>
    /// <param name="turn">How long one turn takes at least.</param>
    /// <param name="progress">Told what is happening before each turn.</param>
    /// <param name="cancellationToken">Looked at between turns.</param>
    public static void Run(
        IReadOnlyList<Contender> contenders, int rounds, TimeSpan turn, Action<string> progress, CancellationToken cancellationToken)
    {
        ForEach(contenders, contender => contender.Calibrate(turn), "calibrating", progress, cancellationToken);
        for (int round = 1; round <= rounds; round++)
        {
            ForEach(contenders, contender => contender.Run(), $"round {round} of {rounds}", progress, cancellationToken);
        }
    }

    private static void ForEach(
        IReadOnlyList<Contender> contenders,
        Action<Contender> action,
        string what,
        Action<string> progress,
        CancellationToken cancellationToken)
    {
        foreach (Contender contender in contenders)
        {
            cancellationToken.ThrowIfCancellationRequested();
            progress($"{contender.Name}, {what}");
            action(contender);
        }
    }
}
