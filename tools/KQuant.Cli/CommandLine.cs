using System.CommandLine;
using System.CommandLine.Invocation;
using KQuant.Cli.Commands;

namespace KQuant.Cli;

/// <summary>Puts the verbs together and turns what becomes of them into exit codes.</summary>
internal static class CommandLine
{
    /// <summary>Parses and runs a command line.</summary>
    /// <param name="args">The arguments of the process.</param>
    /// <param name="output">Where results go; the console if null.</param>
    /// <param name="error">Where messages go; the console if null.</param>
    /// <param name="cancellationToken">Interrupts the command as Ctrl-C does.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        string[] args, TextWriter? output = null, TextWriter? error = null, CancellationToken cancellationToken = default)
    {
        var root = new RootCommand("Quantize, inspect, verify and run GGUF and MLX models in pure managed code.")
        {
            BenchCommand.Create(),
        };

        ParseResult command = root.Parse(args);
        if (command.Action is ParseErrorAction parseError)
        {
            parseError.ShowHelp = false;
            parseError.ShowTypoCorrections = false;
        }

        var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false };
        configuration.Output = output ?? configuration.Output;
        configuration.Error = error ?? configuration.Error;
        try
        {
            int exitCode = await command.InvokeAsync(configuration, cancellationToken).ConfigureAwait(false);
            return command.Errors.Count > 0 ? ExitCode.WrongUsage : exitCode;
        }
        catch (OperationCanceledException)
        {
            await configuration.Error.WriteLineAsync("Interrupted.").ConfigureAwait(false);
            return ExitCode.Interrupted;
        }
        catch (Exception exception)
        {
            await configuration.Error.WriteLineAsync(exception.Message).ConfigureAwait(false);
            return ExitCode.Failed;
        }
    }

    /// <summary>
    /// Gives a command its work. The work blocks and runs beside the thread that waits for it: only so does Ctrl-C reach its token.
    /// </summary>
    /// <param name="command">The command.</param>
    /// <param name="work">What it does; it throws when it fails.</param>
    public static void SetWork(this Command command, Action<ParseResult, CancellationToken> work) => command.SetAction(
        async (parsed, cancellationToken) =>
        {
            await Task.Run(() => work(parsed, cancellationToken), cancellationToken).ConfigureAwait(false);
            return ExitCode.Done;
        });
}
