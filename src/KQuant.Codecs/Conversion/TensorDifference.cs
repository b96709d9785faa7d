namespace KQuant.Codecs.Conversion;

/// <summary>How two tensors of one shape differ.</summary>
/// <param name="EqualBytes">Whether they are stored in the same format and their bytes are the same.</param>
/// <param name="DifferingWeights">Weights that are not the same number; two NaNs are. Null when the tensors hold no weights.</param>
/// <param name="Error">
/// How far the second is from the first, over all weights but those that are the same infinity or NaN in both. Null when the tensors hold
/// no weights.
/// </param>
public sealed record TensorDifference(bool EqualBytes, long? DifferingWeights, WeightError? Error);
