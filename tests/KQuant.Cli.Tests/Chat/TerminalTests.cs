using System.Diagnostics;
using System.Text;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Chat;

/// <summary>The real process on a real terminal, which the tool <c>script</c> makes.</summary>
public class TerminalTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly StringBuilder _output = new();
    private TemporaryFolder _folder = null!;
    private Process? _process;
    private int _seen;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        _output.Clear();
        _seen = 0;
    }

    [TearDown]
    public void TearDown()
    {
        if (_process is { HasExited: false })
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process?.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void RunShowsThatItLoads()
    {
        Start($"run --model '{TestModels.TinyDense}' --prompt Hello --max-tokens 2");
        WaitFor("Peak memory");
        Assert.That(WaitForExit(), Is.Zero, _output.ToString());
    }

    [Test]
    public void AChatIsEditedPastedAndLeft()
    {
        Start($"chat --model '{TestModels.TinyDense}' --max-tokens 3");
        WaitFor(">> ");
        Send("/tep\u007f\t");
        WaitFor("/temp");
        Send("\r");
        WaitFor("[kquant] temp=0");
        WaitFor(">> ");
        Send("\u001b[200~one\rtwo\u001b[201~");
        WaitFor("one\u23CEtwo");
        Send("\r");
        WaitFor("\n");
        WaitFor(">> ");
        Send("\u001b[A\u001b[A");
        WaitFor("/temp");
        Send("\u0015");
        Send("\u0012/te");
        WaitFor("(reverse-i-search)`/te': /temp");
        Send("\u001b[F7\u001f");
        WaitFor("/temp7");
        Send("\r");
        WaitFor("[kquant] temp=0");
        WaitFor(">> ");
        Send("\u0004");
        Assert.That(WaitForExit(), Is.Zero, _output.ToString());
        Assert.That(File.ReadAllLines(_folder["kquant/chat_history"]), Is.EqualTo(["/temp", "one two", "/temp"]));
    }

    [Test]
    public void AnswersEndTheirRowsBetweenWords()
    {
        const string Command = "run --prompt Hello --max-tokens 60 --temp 0 --no-chat-template";
        string expected = Cli.Run([.. Command.Split(' '), TestModels.TinyDense]).MustSucceed().Output.Split("==========")[1].Trim();
        Start($"{Command} '{TestModels.TinyDense}'", columns: 30);
        Assert.That(WaitForExit(), Is.Zero, _output.ToString());
        string[] rows = [.. Screen.RowsOf(_output.ToString().Split("==========")[1]).Where(row => row.Length > 0)];
        Assert.That(rows, Has.Length.GreaterThan(2).And.All.Length.LessThan(30));
        Assert.That(string.Join(' ', rows), Is.EqualTo(string.Join(' ', expected.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))));
    }

    [Test]
    public void CtrlCAtThePromptEndsTheChat()
    {
        Start($"chat --model '{TestModels.TinyDense}' --no-history");
        WaitFor(">> ");
        Send("some\u0003");
        WaitFor("Interrupted.");
        Assert.That(WaitForExit(), Is.EqualTo(130), _output.ToString());
    }

    private void Start(string arguments, int columns = 80)
    {
        if (!OperatingSystem.IsLinux() || !File.Exists("/usr/bin/script"))
        {
            Assert.Ignore("The tool 'script' of util-linux, which makes a terminal, is not there.");
        }

        var start = new ProcessStartInfo("/usr/bin/script", ["-qec", $"stty cols {columns} rows 24; '{CliProcess.Path}' {arguments}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["XDG_CACHE_HOME"] = _folder.Path;
        start.Environment["TERM"] = "xterm-256color";
        _process = Process.Start(start)!;
    }

    private void Send(string keys)
    {
        _process!.StandardInput.Write(keys);
        _process.StandardInput.Flush();
    }

    /// <summary>Reads until a text comes, behind the one that was waited for before.</summary>
    private void WaitFor(string text)
    {
        var buffer = new char[4096];
        while (true)
        {
            int at = _output.ToString().IndexOf(text, _seen, StringComparison.Ordinal);
            if (at >= 0)
            {
                _seen = at + text.Length;
                return;
            }

            Task<int> read = _process!.StandardOutput.ReadAsync(buffer, 0, buffer.Length);
            Assert.That(read.Wait(Patience) && read.Result > 0, $"'{text}' does not come; there is: {_output}");
            _output.Append(buffer, 0, read.Result);
        }
    }

    private int WaitForExit()
    {
        _process!.StandardInput.Close();
        _output.Append(_process.StandardOutput.ReadToEnd());
        Assert.That(_process.WaitForExit(Patience), "the process does not end");
        return _process.ExitCode;
    }
}
