using System.CommandLine;

namespace KQuant.Cli;

/// <summary>What a command reads and writes.</summary>
/// <param name="input">What takes the place of the standard input; null for none.</param>
internal sealed class CommandStreams(Stream? input) : InvocationConfiguration
{
    private TextReader? _reader;

    /// <summary>Whether the input comes from a file or another program rather than from a person.</summary>
    public bool IsInputPiped => input is not null || Console.IsInputRedirected;

    /// <summary>The input, UTF-8 whatever the console's encoding is; other bytes are an error with their place.</summary>
    public TextReader Input => _reader ??= input is not null ? new Utf8Reader(input)
        : Console.IsInputRedirected ? new Utf8Reader(Console.OpenStandardInput())
        : Console.In;
}

/// <summary>Access to <see cref="CommandStreams"/>.</summary>
internal static class CommandStreamsExtensions
{
    /// <summary>What a command line reads and writes.</summary>
    public static CommandStreams GetStreams(this ParseResult parsed) => (CommandStreams)parsed.InvocationConfiguration;
}
