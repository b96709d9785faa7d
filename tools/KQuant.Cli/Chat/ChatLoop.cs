using KQuant.Cli.Rendering;
using KQuant.Codecs;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

namespace KQuant.Cli.Chat;

/// <summary>A conversation with a model on a console: reads lines, runs commands, streams answers.</summary>
internal sealed class ChatLoop(
    LanguageModel model, IChatInput input, TextWriter output, ChatSettings settings, ChatHistory history, string? systemPrompt, int maxKvSize) : IDisposable
{
    private static readonly string[] HistoryWords = ["on", "off", "clear"];

    private const string Help = """
        The command list:
        - 'q' to exit
        - 'r' to reset the chat
        - 'h' to display these commands
        - '/temp', '/top-p', '/min-p', '/repetition-penalty', '/presence-penalty', '/frequency-penalty' X, '/top-k', '/max-tokens' N:
          show a value, or set it for the next responses
        - '/sampling' to show all of them
        - '/load FILE' to take the next prompt from a file
        - '/history [on|off|clear]' for the lines you have typed
        - '/clear' to clear the screen and reset the chat
        """;

    private readonly ChatSession _session = new(model, new ChatSessionOptions { MaxCacheSize = maxKvSize });
    private readonly Lock _interrupting = new();
    private string _loaded = "";
    private CancellationTokenSource? _reply;

    /// <summary>Commands that Tab completes.</summary>
    private static string[] Commands { get; } = [.. ChatSettings.Names, "/sampling", "/load", "/history", "/clear", "/help"];

    /// <summary>How a line could go on.</summary>
    public static IReadOnlyList<string> Complete(string line)
    {
        if (!line.StartsWith('/'))
        {
            return [];
        }

        int space = line.IndexOf(' ', StringComparison.Ordinal);
        if (space < 0)
        {
            return [.. Commands.Where(command => command.StartsWith(line, StringComparison.Ordinal))];
        }

        string argument = line[(space + 1)..];
        return line[..space] switch
        {
            "/history" => [.. HistoryWords.Where(word => word.StartsWith(argument, StringComparison.Ordinal)).Select(word => $"/history {word}")],
            "/load" => [.. Paths(argument).Select(path => $"/load {path}")],
            _ => [],
        };
    }

    /// <summary>Talks until the input ends.</summary>
    public void Run(CancellationToken cancellation)
    {
        Reset();
        output.WriteLine($"[kquant] chat with {PlainText.OneLine(model.Path)} on {RunStatistics.DeviceOf(model)}; 'h' shows the commands, Ctrl-D or 'q' ends.");
        try
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                string text = _loaded;
                _loaded = "";
                string? line = input.ReadLine(">> ", text);
                if (line is null || line == "q")
                {
                    return;
                }

                history.Add(line);
                if (line.Length > 0 && !TryRun(line))
                {
                    Answer(line, cancellation);
                }
            }
        }
        finally
        {
            history.Save();
        }
    }

    /// <summary>Ends the reply that is being generated.</summary>
    /// <returns>False when there is none.</returns>
    public bool Interrupt()
    {
        lock (_interrupting)
        {
            _reply?.Cancel();
            return _reply is not null;
        }
    }

    public void Dispose() => _session.Dispose();

    private static string[] Paths(string start)
    {
        string folder = Path.GetDirectoryName(start) ?? "";
        try
        {
            return Directory.EnumerateFileSystemEntries(folder.Length == 0 ? "." : folder, Path.GetFileName(start) + "*")
                .Select(path => (folder.Length == 0 ? Path.GetFileName(path) : path) + (Directory.Exists(path) ? "/" : ""))
                .Order(StringComparer.Ordinal).Take(100).ToArray();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private bool TryRun(string line)
    {
        if (line is "r" or "h")
        {
            Say(line == "h" ? Help : "chat reset");
            if (line == "r")
            {
                Reset();
            }

            return true;
        }

        if (!line.StartsWith('/'))
        {
            return false;
        }

        string[] parts = line.Split(' ', 2, StringSplitOptions.TrimEntries);
        string argument = parts.Length > 1 ? parts[1] : "";
        if (settings.TryRun(parts[0], argument, out string answer))
        {
            Say(answer);
            return true;
        }

        switch (parts[0])
        {
            case "/sampling": Say(string.Join('\n', settings.Describe())); break;
            case "/load": Load(argument); break;
            case "/history": RunHistory(argument); break;
            case "/clear":
                output.Write("\u001b[2J\u001b[H");
                Reset();
                Say("conversation reset");
                break;
            default: Say(Help); break;
        }

        return true;
    }

    private void Load(string path)
    {
        if (path.Length == 0)
        {
            Say("/load FILE takes the next prompt from a file; it needs the name of one");
            return;
        }

        try
        {
            _loaded = Utf8Reader.ReadFile(path).TrimEnd('\n', '\r');
        }
        catch (Exception exception) when (exception is CommandException or ModelFormatException or IOException or UnauthorizedAccessException)
        {
            Say(exception.Message);
        }
    }

    private void RunHistory(string argument)
    {
        switch (argument)
        {
            case "on" or "off": history.IsKept = argument == "on"; break;
            case "clear": ClearHistory(); break;
        }

        Say($"history is {(history.IsKept ? "on" : "off")}: {history.Path}");
    }

    private void ClearHistory()
    {
        try
        {
            history.Clear();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Say(exception.Message);
        }
    }

    private void Reset()
    {
        _session.Clear();
        if (!string.IsNullOrEmpty(systemPrompt))
        {
            _session.Messages.Add(new TemplateMessage("system", systemPrompt));
        }
    }

    private void Answer(string line, CancellationToken cancellation)
    {
        Action<string> write = WordWrap.For(output);
        var options = new GenerationOptions { Sampling = settings.Sampling, MaxTokens = settings.MaxTokens };
        try
        {
            lock (_interrupting)
            {
                _reply = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            }

            foreach (GeneratedToken token in _session.Ask(line, options, _reply.Token))
            {
                write(token.Text);
                output.Flush();
            }

            output.WriteLine();
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            output.WriteLine();
            Say("response canceled");
        }
        catch (Exception exception) when (exception is ContextLengthException or TemplateException)
        {
            Say($"{exception.Message} The message was not sent; 'r' begins anew.");
        }
        finally
        {
            lock (_interrupting)
            {
                _reply!.Dispose();
                _reply = null;
            }
        }
    }

    private void Say(string text)
    {
        foreach (string line in text.Split('\n'))
        {
            output.WriteLine($"[kquant] {line.TrimEnd('\r')}");
        }
    }
}
