using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>What a tensor that the budget decides about got.</summary>
/// <param name="Planned">The tensor and its codec.</param>
/// <param name="Error">Its expected squared output error over its squared output.</param>
/// <param name="Loss">What that is predicted to cost, in nats of divergence where a calibration has measured it, else relative.</param>
public sealed record BudgetChoice(PlannedTensor Planned, double Error, double Loss);

/// <summary>A point of the curve of size against predicted loss.</summary>
/// <param name="Bytes">Bytes of the whole.</param>
/// <param name="Loss">The predicted loss.</param>
public readonly record struct BudgetPoint(long Bytes, double Loss);
