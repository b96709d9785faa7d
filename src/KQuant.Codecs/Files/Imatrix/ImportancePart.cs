namespace KQuant.Codecs.Files;

/// <summary>Says that an importance matrix is a part of a calibration that several processes did together.</summary>
public sealed record ImportancePart
{
    /// <summary>Which part.</summary>
    public required JobShard Shard { get; init; }

    /// <summary>Model, text and options, which all parts have in common.</summary>
    public required string Origin { get; init; }
}
