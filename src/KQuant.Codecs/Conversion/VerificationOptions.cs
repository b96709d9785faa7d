using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>Settings of <see cref="ModelVerifier"/>.</summary>
public sealed record VerificationOptions
{
    /// <summary>The largest error that each format may have; used when there is a model to compare with.</summary>
    public ErrorLimits Limits { get; init; } = new();

    /// <summary>Threads that read and decode: 0 or 1 for the calling thread alone, -1 for one per processor.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to 0 or less than -1.</exception>
    public int MaxDegreeOfParallelism
    {
        get;
        init => field = Parallelism.Checked(value, nameof(MaxDegreeOfParallelism));
    } = Parallelism.All;
}
