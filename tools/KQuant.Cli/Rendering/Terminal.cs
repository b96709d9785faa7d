using Spectre.Console;

namespace KQuant.Cli.Rendering;

/// <summary>Whether a person looks at a stream, and how.</summary>
internal static class Terminal
{
    /// <summary>Whether a writer is the console's error stream, on a terminal.</summary>
    public static bool IsError(TextWriter error) => ReferenceEquals(error, Console.Error) && !Console.IsErrorRedirected;

    /// <summary>Whether a writer is the console's output stream, on a terminal that shows colours and is not asked to go without.</summary>
    public static bool ShowsColors(TextWriter output) =>
        ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected
        && AnsiConsole.Profile.Capabilities is { Ansi: true, ColorSystem: not ColorSystem.NoColors };

    /// <summary>Whether a writer is the console's output stream, on a terminal that understands control sequences.</summary>
    public static bool IsOutput(TextWriter output) =>
        ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;

    /// <summary>Cells of a row at the moment; 80 where the terminal does not say.</summary>
    public static int Width => Console.WindowWidth is > 0 and int width ? width : 80;

    /// <summary>A console on the error stream.</summary>
    public static IAnsiConsole CreateErrorConsole() =>
        AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
}
