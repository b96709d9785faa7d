using System.Text.Json.Nodes;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant template</c>, and the special tokens of a text that <c>perplexity</c> and <c>logits</c> read.</summary>
public class TemplateCommandTests
{
    private const string WithTools = """{"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": {"name": "f"}}]}""";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("{{ messages[0].content }}", true)]
    [TestCase("{{ tools | length }}{{ messages[0].content }}", false)]
    public void ToolsThatDoNotReachTheTextAreAWarning(string template, bool warns)
    {
        Write("chat_template.jinja", template);
        CliResult result = Render();
        Assert.That(result.ExitCode, Is.Zero);
        Assert.That(result.Output, Does.EndWith("hi"));
        Assert.That(string.Join('\n', result.Messages), warns ? Does.Contain("does not read tools") : Is.Empty);
    }

    [Test]
    public void OneOfSeveralTemplatesIsChosenByName()
    {
        Write("additional_chat_templates/rag.jinja", "R{{ messages[0].content }}");
        Write("additional_chat_templates/chat.jinja", "C{{ messages[0].content }}");
        Render().MustFail("choose one of chat, rag");
        Assert.That(Render("--name", "rag").Output, Is.EqualTo("Rhi"));
        Render("--name", "no").MustFail("has no chat template named 'no'; it has chat, rag");
    }

    [Test]
    public void TextsAreMeasuredWithTheTokensThatTheTokenizerAdds()
    {
        foreach (string path in Directory.EnumerateFiles(TestModels.TinyDense))
        {
            File.Copy(path, _folder[Path.GetFileName(path)]);
        }

        string text = _folder["text"];
        File.WriteAllText(text, string.Concat(Enumerable.Repeat("It was a dark evening, and nobody came. ", 20)));
        string[] measure = ["perplexity", "--model", _folder.Path, "--file", text, "--ctx", "16", "--json"];
        string before = Cli.Run(measure).MustSucceed().Output;
        JsonObject tokenizer = JsonNode.Parse(File.ReadAllText(_folder["tokenizer.json"]))!.AsObject();
        tokenizer["post_processor"] = JsonNode.Parse(
            """
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [], "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [2046], "tokens": ["<|im_start|>"]}}}
            """);
        File.WriteAllText(_folder["tokenizer.json"], tokenizer.ToJsonString());
        JsonNode with = JsonNode.Parse(Cli.Run(measure).MustSucceed().Output)!, without = JsonNode.Parse(Cli.Run([.. measure, "--no-special"]).MustSucceed().Output)!;
        Assert.That(without.ToJsonString(), Is.EqualTo(JsonNode.Parse(before)!.ToJsonString()));
        Assert.That(with["text_tokens"]!.GetValue<int>(), Is.EqualTo(without["text_tokens"]!.GetValue<int>() + 1));
        Assert.That(with.ToJsonString(), Is.Not.EqualTo(without.ToJsonString()));

        long Rows(params string[] more)
        {
            string output = _folder[$"{more.Length}.npy"];
            Cli.Run(["logits", "--model", _folder.Path, "--prompt", "It was", "--output", output, .. more]).MustSucceed();
            return new FileInfo(output).Length / (sizeof(float) * 2048);
        }

        Assert.That(Rows(), Is.EqualTo(Rows("--no-special") + 1));
    }

    private CliResult Render(params string[] more)
    {
        Write("conversation.json", WithTools);
        return Cli.Run(["template", "--model", _folder.Path, "--messages", _folder["conversation.json"], .. more]);
    }

    private void Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[name])!);
        File.WriteAllText(_folder[name], text);
    }
}
