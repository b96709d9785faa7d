namespace KQuant.Models.Calibration;

/// <summary>Where a calibration is.</summary>
/// <param name="Chunks">Chunks done, those of the second pass included.</param>
/// <param name="TotalChunks">Chunks of the text.</param>
/// <param name="IsCovering">Whether it is the second pass, for experts that were rarely chosen.</param>
public readonly record struct CalibrationProgress(int Chunks, int TotalChunks, bool IsCovering);
