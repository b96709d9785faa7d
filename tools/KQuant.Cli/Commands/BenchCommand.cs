using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant bench</c>: how fast this machine does what the library does.</summary>
internal static class BenchCommand
{
    internal static Command Create() => new("bench", "Measure the speed of this machine.")
    {
        BenchCodecsCommand.Create(),
        BenchGatherCommand.Create(),
        BenchLimitsCommand.Create(),
        BenchMatmulCommand.Create(),
        BenchModelCommand.Create(),
    };
}
