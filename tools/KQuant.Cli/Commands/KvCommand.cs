using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant kv</c>: what ways to remember keys and values cost and give.</summary>
internal static class KvCommand
{
    internal static Command Create() => new("kv", "Measure ways to remember keys and values.")
    {
        KvBenchCommand.Create(),
        KvCompareCommand.Create(),
    };
}
