using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Reflection;
using System.Runtime.InteropServices;
using KQuant.Cli.Commands;
using KQuant.Cli.Rendering;
using KQuant.Codecs;

namespace KQuant.Cli;

/// <summary>Puts the verbs together and turns what becomes of them into exit codes.</summary>
internal static class KQuantCommand
{
    /// <summary>SIGXFSZ, which has the same number on Linux and on macOS.</summary>
    private const int FileSizeSignal = 25;

    /// <summary>How long an interrupted command may take to remove what it has half written.</summary>
    private static readonly TimeSpan CleanUpTime = TimeSpan.FromSeconds(30);

    /// <summary>The version of the tool.</summary>
    public static string Version { get; } =
        typeof(KQuantCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>All verbs, in the order in which help lists them.</summary>
    private static readonly (string Name, Func<Command> Create)[] Verbs =
    [
        ("quantize", QuantizeCommand.Create),
        ("dequantize", DequantizeCommand.Create),
        ("imatrix", ImatrixCommand.Create),
        ("calibrate-imatrix", () => ImatrixCalibrateCommand.Create("calibrate-imatrix")),
        ("lora", LoraCommand.Create),
        ("inspect", InspectCommand.Create),
        ("verify", VerifyCommand.Create),
        ("run", RunCommand.Create),
        ("chat", ChatCommand.Create),
        ("serve", ServeCommand.Create),
        ("perplexity", PerplexityCommand.Create),
        ("compare", CompareCommand.Create),
        ("logits", LogitsCommand.Create),
        ("tensor", TensorCommand.Create),
        ("tokenize", TokenizeCommand.Create),
        ("template", TemplateCommand.Create),
        ("codecs", CodecsCommand.Create),
        ("kv", KvCommand.Create),
        ("bench", BenchCommand.Create),
    ];

    /// <summary>The verbs.</summary>
    /// <param name="first">
    /// The first word of the command line. If it is a verb, no other one is put together: all their options take longer than what some do.
    /// </param>
    public static RootCommand CreateRoot(string? first = null)
    {
        var root = new RootCommand("Quantize, inspect, verify and run GGUF and MLX models in pure managed code.");
        bool isVerb = Array.Exists(Verbs, verb => verb.Name == first);
        foreach ((string name, Func<Command> create) in Verbs)
        {
            if (!isVerb || name == first)
            {
                root.Subcommands.Add(create());
            }
        }

        foreach (Command verb in root.Subcommands.Concat(root.Subcommands.SelectMany(verb => verb.Subcommands)))
        {
            CommonOptions.Tighten(verb);
            ModelPath.AllowAsArgument(verb);
        }

        root.Options.OfType<VersionOption>().Single().Action = new VersionAction();
        return root;
    }

    /// <summary>Parses and runs a command line.</summary>
    /// <param name="args">The arguments of the process.</param>
    /// <param name="output">Where results go; the console if null.</param>
    /// <param name="error">Where messages go; the console if null.</param>
    /// <param name="input">The standard input; the console's if null.</param>
    /// <param name="cancellationToken">Interrupts the command as Ctrl-C does.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        string[] args, TextWriter? output = null, TextWriter? error = null, Stream? input = null, CancellationToken cancellationToken = default)
    {
        // Asked by scripts and often: no verb is put together for it.
        if (args is ["--version"])
        {
            await (output ?? Console.Out).WriteLineAsync($"kquant {Version}").ConfigureAwait(false);
            return ExitCode.Done;
        }

        // As git and dotnet have it.
        string[] words = args is ["help", ..] ? [.. args[1..], "--help"] : args;
        ParseResult command = CreateRoot(words.FirstOrDefault()).Parse(words);
        var configuration = new CommandStreams(input)
        {
            EnableDefaultExceptionHandler = false,

            // A chat decides for itself what Ctrl-C ends, and a server finishes its answers.
            ProcessTerminationTimeout = command.CommandResult.Command.Name is "chat" or "serve" ? null : CleanUpTime,
        };
        configuration.Output = output ?? configuration.Output;
        configuration.Error = error ?? configuration.Error;
        if (args.Length == 0)
        {
            await CreateRoot().Parse("--help").InvokeAsync(configuration, cancellationToken).ConfigureAwait(false);
            return ExitCode.WrongUsage;
        }

        if (command.Action is ParseErrorAction)
        {
            WriteUsageErrors(command, configuration.Error);
            return ExitCode.WrongUsage;
        }

        // A terminal that closes ends the work as Ctrl-C does, so that nothing is left half written.
        using var hangup = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var signal = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            hangup.Cancel();
        });

        // A limit on the size of files is an error of the write, which is told and cleaned up after, and not the end of the process.
        using PosixSignalRegistration? limit = OperatingSystem.IsWindows()
            ? null
            : PosixSignalRegistration.Create((PosixSignal)FileSizeSignal, context => context.Cancel = true);
        try
        {
            return await command.InvokeAsync(configuration, hangup.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            if (Terminal.IsError(configuration.Error))
            {
                // Behind the ^C that the terminal shows.
                await configuration.Error.WriteLineAsync().ConfigureAwait(false);
            }

            await configuration.Error.WriteLineAsync("Interrupted.").ConfigureAwait(false);
            return ExitCode.Interrupted;
        }
        catch (Exception exception)
        {
            await configuration.Error.WriteLineAsync($"error: {Describe(exception)}").ConfigureAwait(false);
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
            // Whatever a command does, an environment that says something impossible is an error.
            _ = KernelTiers.Max;
            await Task.Run(() => work(parsed, cancellationToken), cancellationToken).ConfigureAwait(false);
            return ExitCode.Done;
        });

    private static void WriteUsageErrors(ParseResult command, TextWriter error)
    {
        // A verb that is mistyped is also one that is missing: only the first helps.
        bool isMistyped = command is { UnmatchedTokens.Count: > 0, CommandResult.Command.Subcommands.Count: > 0 };
        foreach (string message in command.Errors.Select(problem => problem.Message).Distinct())
        {
            if (isMistyped && !command.UnmatchedTokens.Any(token => message.Contains($"'{token}'", StringComparison.Ordinal)))
            {
                continue;
            }

            string? word = command.UnmatchedTokens.FirstOrDefault(token => message.Contains($"'{token}'", StringComparison.Ordinal));
            error.WriteLine($"error: {OnOneLine(message)}{(word is null ? "" : Suggestions.For(word, command.CommandResult.Command))}");
        }

        var path = new List<string>();
        for (SymbolResult? at = command.CommandResult; at is CommandResult { Command: not RootCommand } part; at = part.Parent)
        {
            path.Insert(0, part.Command.Name);
        }

        error.WriteLine($"'{string.Join(' ', ["kquant", .. path])} --help' shows what is possible.");
    }

    /// <summary>The message of an exception as one line, without the parameter names that only programmers want.</summary>
    private static string Describe(Exception exception) => OnOneLine(exception is ArgumentException { ParamName: string parameter }
        ? exception.Message.Replace($" (Parameter '{parameter}')", "", StringComparison.Ordinal)
        : exception.Message);

    private static string OnOneLine(string text) => PlainText.OneLine(
        string.Join(' ', text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)));

    private sealed class VersionAction : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.WriteLine($"kquant {Version}");
            return ExitCode.Done;
        }
    }
}
