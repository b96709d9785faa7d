using KQuant.Cli.Chat;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Chat;

/// <summary>A conversation without a terminal.</summary>
public class ChatLoopTests
{
    private LanguageModel _model = null!;
    private TemporaryFolder _folder = null!;

    [OneTimeSetUp]
    public void Load() => _model = LanguageModel.Load(TestModels.TinyMoe);

    [OneTimeTearDown]
    public void Close() => _model.Dispose();

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void RemembersAndRunsCommands()
    {
        using var output = new StringWriter { NewLine = "\n" };
        var settings = new ChatSettings(SamplingOptions.Greedy, 5);
        Talk("Hello\nHow are you?\n/temp\n/temp x\n/temp 0.5\n/sampling\n/nonsense\nr\nq\nnever\n", output, settings);

        string text = output.ToString();
        Assert.That(text, Does.Contain("[kquant] temp=0\n").And.Contain("needs a float").And.Contain("temp=0.5 (next response)").And.Contain("top-k=0"));
        Assert.That(text, Does.Contain("[kquant] The command list:").And.Contain("chat reset"));
        Assert.That(settings.Sampling.Temperature, Is.EqualTo(0.5f));
        Assert.That(File.ReadAllLines(_folder["cache/history"]), Is.EqualTo(["Hello", "How are you?", "/temp", "/temp x", "/temp 0.5", "/sampling", "/nonsense", "r"]));
    }

    [Test]
    public void AnInterruptionEndsTheAnswerAndNotTheChat()
    {
        using var output = new InterruptingWriter();
        using var session = Create("Hello\nHow are you?\n/sampling\n", output, new ChatSettings(SamplingOptions.Greedy, 200));
        output.Interrupt = session.Interrupt;

        session.Run(default);

        string[] lines = output.ToString().Split('\n');
        Assert.That(lines.Count(line => line == "[kquant] response canceled"), Is.EqualTo(2));
        Assert.That(output.ToString(), Does.Contain("[kquant] temp=0\n"), "the chat goes on");
        Assert.That(session.Interrupt(), Is.False, "there is no answer to interrupt");
    }

    [Test]
    public void AFileBecomesTheNextMessage()
    {
        using var output = new StringWriter { NewLine = "\n" };
        string file = _folder.Write("text", "Hello\nthere\n\n");
        Talk($"/load {file}\n", output, new ChatSettings(SamplingOptions.Greedy, 1));
        Assert.That(File.ReadAllLines(_folder["cache/history"])[^1], Is.EqualTo("Hello there"));
    }

    [Test]
    public void ClearingAHistoryThatIsNotThereYetAndLoadingNothingDoNotEndTheChat()
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var session = new ChatLoop(
            _model,
            new PipedInput(new StringReader("/history clear\n/load\n/load nowhere\n/sampling\nq\n")),
            output,
            new ChatSettings(SamplingOptions.Greedy, 1),
            new ChatHistory(_folder["new/folder/history"], isKept: true),
            systemPrompt: null,
            maxKvSize: 0);
        session.Run(default);
        Assert.That(output.ToString(), Does.Contain("[kquant] history is on").And.Contain("it needs the name of one").And.Contain("nowhere").And.Contain("temp=0\n"));
    }

    private void Talk(string input, TextWriter output, ChatSettings settings)
    {
        using ChatLoop session = Create(input, output, settings);
        session.Run(default);
    }

    private ChatLoop Create(string input, TextWriter output, ChatSettings settings) => new(
        _model,
        new PipedInput(new StringReader(input)),
        output,
        settings,
        new ChatHistory(_folder["cache/history"], isKept: true),
        "Be kind.",
        0);

    /// <summary>Interrupts an answer as soon as something of it is there.</summary>
    private sealed class InterruptingWriter : StringWriter
    {
        public InterruptingWriter() => NewLine = "\n";

        public Func<bool>? Interrupt { get; set; }

        public override void Flush() => Interrupt?.Invoke();
    }
}
