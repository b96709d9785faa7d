using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>Settings of <see cref="ModelVerifier"/>.</summary>
public sealed record VerificationOptions
{
    /// <summary>The largest error that each format may have; used when there is a model to compare with.</summary>
    public ErrorLimits Limits { get; init; } = new();

    /// <summary>
    /// Looks for more that is wrong with the structure of the model, one sentence each: what its architecture asks for, which is known above
    /// this package (<c>ModelLayout.FindProblems</c> of KQuant.Models). Null for nothing.
    /// </summary>
    public Func<ModelSource, IEnumerable<string>>? FindProblems { get; init; }

    /// <summary>Threads that read and decode: -1 for one per processor, a positive number for at most so many.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to 0 or less than -1.</exception>
    public int MaxDegreeOfParallelism
    {
        get;
        init => field = Parallelism.Checked(value, nameof(MaxDegreeOfParallelism));
    } = Parallelism.All;
}
