using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>What was found out about one tensor.</summary>
public sealed record VerifiedTensor
{
    /// <summary>The tensor.</summary>
    public required ModelTensor Source { get; init; }

    /// <summary>False when it holds no weights, or is in a format without a decoder here.</summary>
    public required bool IsChecked { get; init; }

    /// <summary>Weights that are infinite or NaN.</summary>
    public required long NonFiniteCount { get; init; }

    /// <summary>The first row with such a weight, or -1.</summary>
    public required long FirstNonFiniteRow { get; init; }

    /// <summary>How far its weights are from those it was compared with, if it was.</summary>
    public WeightError? Error { get; init; }

    /// <summary>The largest normalized mean square error that is allowed for its format.</summary>
    public required double Limit { get; init; }

    /// <summary>Whether the error is beyond the limit; also when it is NaN.</summary>
    public bool ExceedsLimit => Error is WeightError error && !(error.Nmse <= Limit);
}

/// <summary>What was found out about a model.</summary>
public sealed record VerificationReport
{
    /// <summary>All its tensors, in order.</summary>
    public required IReadOnlyList<VerifiedTensor> Tensors { get; init; }

    /// <summary>What is wrong: one sentence each; empty when nothing is.</summary>
    public required IReadOnlyList<string> Problems { get; init; }

    /// <summary>Whether nothing is wrong.</summary>
    public bool Passed => Problems.Count == 0;
}
