namespace KQuant.Cli.Commands;

/// <summary>How a text becomes chunks for calibration.</summary>
internal enum TextStream
{
    LlamaCpp = 0,
    MlxKquant = 1,
}
