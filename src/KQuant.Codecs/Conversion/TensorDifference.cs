namespace KQuant.Codecs.Conversion;

/// <summary>How two tensors of one shape differ.</summary>
public sealed record TensorDifference
{
    /// <summary>Whether they are stored in the same format and their bytes are the same.</summary>
    public required bool EqualBytes { get; init; }

    /// <summary>Weights that are not the same number; two NaNs are. Null when the tensors hold no weights.</summary>
    public long? DifferingWeights { get; init; }

    /// <summary>
    /// How far the second is from the first, over all weights but those that are the same infinity or NaN in both. Null when the tensors hold
    /// no weights.
    /// </summary>
    public WeightError? Error { get; init; }
}
