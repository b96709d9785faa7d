using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>What was found out about one tensor.</summary>
/// <param name="Source">The tensor.</param>
/// <param name="IsChecked">False when it holds no weights, or is in a format without a decoder here.</param>
/// <param name="NonFiniteCount">Weights that are infinite or NaN.</param>
/// <param name="FirstNonFiniteRow">The first row with such a weight, or -1.</param>
/// <param name="Error">How far its weights are from those it was compared with, if it was.</param>
/// <param name="Limit">The largest normalized mean square error that is allowed for its format.</param>
public sealed record VerifiedTensor(
    IModelTensorSource Source, bool IsChecked, long NonFiniteCount, long FirstNonFiniteRow, WeightError? Error, double Limit)
{
    /// <summary>Whether the error is beyond the limit; also when it is NaN.</summary>
    public bool ExceedsLimit => Error is WeightError error && !(error.Nmse <= Limit);
}

/// <summary>What was found out about a model.</summary>
/// <param name="Tensors">All its tensors, in order.</param>
/// <param name="Problems">What is wrong: one sentence each; empty when nothing is.</param>
public sealed record VerificationReport(IReadOnlyList<VerifiedTensor> Tensors, IReadOnlyList<string> Problems)
{
    /// <summary>Whether nothing is wrong.</summary>
    public bool Passed => Problems.Count == 0;
}
