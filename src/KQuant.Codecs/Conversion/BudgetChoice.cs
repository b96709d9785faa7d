using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>What a tensor that the budget decides about got.</summary>
public sealed record BudgetChoice
{
    /// <summary>The tensor and its codec.</summary>
    public required PlannedTensor Planned { get; init; }

    /// <summary>Its expected squared output error over its squared output.</summary>
    public required double Error { get; init; }

    /// <summary>What that is predicted to cost, in nats of divergence where a calibration has measured it, else relative.</summary>
    public required double Loss { get; init; }
}
