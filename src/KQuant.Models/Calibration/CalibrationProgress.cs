namespace KQuant.Models.Calibration;

/// <summary>Where a calibration is.</summary>
public readonly record struct CalibrationProgress
{
    /// <summary>Chunks done, those of the second pass included.</summary>
    public required int Chunks { get; init; }

    /// <summary>Chunks of the text.</summary>
    public required int TotalChunks { get; init; }

    /// <summary>Whether it is the second pass, for experts that were rarely chosen.</summary>
    public required bool IsCovering { get; init; }
}
