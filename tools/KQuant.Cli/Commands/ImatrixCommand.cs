using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant imatrix</c>: importance matrices.</summary>
internal static class ImatrixCommand
{
    internal static Command Create() => new("imatrix", "Gather, merge, convert and describe importance matrices.")
    {
        ImatrixCalibrateCommand.Create("calibrate"),
        ImatrixMergeCommand.Create(),
        ImatrixStatsCommand.Create(),
        ImatrixConvertCommand.Create(),
    };
}
