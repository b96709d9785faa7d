using System.Diagnostics;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>Texts, messages and templates that cannot be used: one sentence with the place, and exit code 1.</summary>
public class BadTextTests
{
    private static readonly byte[] NoUtf8 = [.. "one\ntw"u8, 0xFF, .. "o\n"u8];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void InputThatIsNoUtf8()
    {
        const string Message = "The standard input is not valid UTF-8 at byte 6";
        Cli.RunWith(NoUtf8, "run", "--model", TestModels.TinyDense, "--prompt", "-").MustFail(Message);
        Cli.RunWith(NoUtf8, "chat", "--model", TestModels.TinyDense, "--max-tokens", "1").MustFail(Message);
        CliResult tokenized = Cli.RunWith(NoUtf8, "tokenize", "--model", TestModels.TinyDense).MustFail(Message);
        Assert.That(tokenized.Output.Split('\n'), Has.Length.EqualTo(2), "the line before it is done");
        Cli.RunWith([0xC3], "tokenize", "--model", TestModels.TinyDense).MustFail("The standard input is not valid UTF-8 at byte 0");
    }

    [Test]
    public void FilesThatAreNoUtf8()
    {
        string file = _folder.Write("text", NoUtf8);
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", file).MustFail($"{file} is not valid UTF-8 at byte 6");
        Cli.Run("template", "--model", TestModels.TinyDense, "--messages", file).MustFail($"{file} is not valid UTF-8 at byte 6");
        string model = WriteTemplate("");
        File.WriteAllBytes(Path.Combine(model, "chat_template.jinja"), NoUtf8);
        Cli.Run("template", "--model", model, "--messages", WriteMessages("[]")).MustFail("chat_template.jinja: the file is not valid UTF-8");
        Assert.That(
            Cli.RunWith($"/load {file}\n", "chat", "--model", TestModels.TinyDense).MustSucceed().Output,
            Does.Contain($"[kquant] {file} is not valid UTF-8 at byte 6"));
    }

    /// <summary>Every place where a file is read at once: what waits for a writer or never ends is refused before it is opened.</summary>
    [TestCase("pipe")]
    [TestCase("device")]
    [TestCase("link to a device")]
    [Platform(Exclude = "Win", Reason = "Windows has no such files in folders.")]
    public void WhatHasNoEndIsNotRead(string kind)
    {
        string path = kind == "device" ? "/dev/zero" : _folder["node"], message = $"{path} is a {kind.Split(' ')[^1]}; ";
        if (kind == "pipe")
        {
            using Process made = Process.Start("mkfifo", [path]);
            made.WaitForExit();
        }
        else if (kind != "device")
        {
            File.CreateSymbolicLink(path, "/dev/zero");
        }

        string[] model = ["--model", TestModels.TinyDense];
        string output = _folder["out.gguf"];
        Cli.Run(["perplexity", .. model, "--file", path]).MustFail(message);
        Cli.Run("compare", "--models", TestModels.TinyDense, "--against", TestModels.TinyDense, "--file", path).MustFail(message);
        Cli.Run(["imatrix", "calibrate", .. model, "--corpus", path, "--output", output]).MustFail(message);
        Cli.Run(["template", .. model, "--messages", path]).MustFail(message);
        Cli.Run(["quantize", .. model, "--kquant-type", "q8_0", "--tensor-type-file", path, "--output", output]).MustFail(message);
        Cli.Run(["quantize", .. model, "--kquant-type", "q8_0", "--imatrix", path, "--output", output]).MustFail(message);
        Cli.Run("imatrix", "stats", path).MustFail(message);
        Cli.Run("imatrix", "merge", path, path, "--output", output).MustFail(message);
        Cli.Run("tokenize", "--model", path).MustFail(message);
        Cli.Inspect(path).MustFail(message);
        Assert.That(Cli.RunWith($"/load {path}\n", ["chat", .. model]).MustSucceed().Output, Does.Contain($"[kquant] {message}"));
        foreach (string file in (string[])["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja", "model.safetensors"])
        {
            string folder = _folder[file + ".d"];
            Directory.CreateDirectory(folder);
            foreach (string original in Directory.GetFiles(TestModels.TinyDense))
            {
                File.Copy(original, Path.Combine(folder, Path.GetFileName(original)));
            }

            File.Delete(Path.Combine(folder, file));
            File.CreateSymbolicLink(Path.Combine(folder, file), path);
            Cli.RunWith("Hello\n", "chat", "--model", folder, "--max-tokens", "1").MustFail($"{file} is a {kind.Split(' ')[^1]}; ");
        }

        Assert.That(File.Exists(output), Is.False);
    }

    [Test]
    public void AFileThatIsLongerThanAllThatIsRead()
    {
        string file = _folder["long"];
        using (FileStream sparse = File.Create(file))
        {
            sparse.SetLength((1L << 30) + 1);
        }

        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", file).MustFail($"{file}: the file is longer than 1073741824 bytes");
    }

    [Test]
    public void FilesThatAreMissing()
    {
        string missing = _folder["none"];
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", missing).MustFail($"{missing}: there is no such file");
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", _folder.Path).MustFail($"{_folder.Path} is a folder");
        Cli.Run("template", "--model", TestModels.TinyDense, "--messages", missing).MustFail($"{missing}: there is no such file");
        Cli.Run("template", "--model", TestModels.TinyDense, "--messages", _folder.Path).MustFail($"{_folder.Path} is a folder");
        Cli.Run("tokenize", "--model", missing).MustFail("none");
        Cli.Run("template", "--model", missing, "--messages", WriteMessages("[]")).MustFail("none");
    }

    [Test]
    public void APromptThatIsLongerThanTheContext()
    {
        string text = string.Concat(Enumerable.Repeat("Holmes ", 2000));
        string[] model = ["--model", TestModels.TinyDense];
        CliResult run = Cli.RunWith(text, ["run", .. model, "--prompt", "-"]).MustFail("tokens and the context holds 512");
        Assert.That(run.Output, Is.Empty);
        Cli.Run(["logits", .. model, "--prompt", text, "--output", _folder["logits.npy"]]).MustFail("tokens and the context holds 512");
        Assert.That(File.Exists(_folder["logits.npy"]), Is.False);
        Cli.Run(["perplexity", .. model, "--file", _folder.Write("text", text), "--ctx", "513"]).MustFail(
            $"A window of 513 tokens does not fit into the context of 512 of {TestModels.TinyDense}");
        Assert.That(
            Cli.RunWith(text + "\nHi\n", ["chat", .. model, "--max-tokens", "1"]).MustSucceed().Output,
            Does.Contain("[kquant] The text has ").And.Contain(" tokens and the context holds 512. The message was not sent; 'r' begins anew."));
    }

    [Test]
    public void TextsWithoutTokens()
    {
        Cli.Run("run", "--model", TestModels.TinyDense, "--raw", "--prompt", "").MustFail("The text has no tokens to start from");
        Cli.Run("logits", "--model", TestModels.TinyDense, "--prompt", "", "--output", _folder["l.npy"]).MustFail("The text has no tokens");
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", _folder.Write("text", "")).MustFail(
            "The text has 0 tokens; a window of 256 needs one more than that");
    }

    [TestCase("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "the template takes more than 1000000")]
    [TestCase("{% macro f(x) %}{{ f(x) }}{% endmacro %}\n{{ f(1) }}", "macro 'f' calls itself, directly or not, deeper than 100")]
    [TestCase("{% for a in range(100000) %}{{ 'x' * 1000000 }}{% endfor %}", "the template takes more than 1000000")]
    [TestCase("{{ ('x' * 1000000) * 1000000 }}", "chat template, line 1: the template makes a text or list of more than 16777216 characters or elements")]
    [TestCase("\n{% set a = [1] * 1000000000 %}", "chat template, line 2: the template makes a text or list of more than 16777216 characters or elements")]
    [TestCase("{{ raise_exception('no\nsystem messages') }}", "no system messages")]
    [TestCase("{{ messages | nonsense }}", "chat template, line 1: No filter named 'nonsense'")]
    [TestCase("{% for a in %}", "chat template, line 1: expected an expression")]
    public void TemplatesThatFailOrNeverEnd(string template, string message)
    {
        string model = WriteTemplate(template);
        Cli.Run("template", "--model", model, "--messages", WriteMessages("[]")).MustFail(message);
        Cli.Run("run", "--model", model, "--prompt", "Hi", "--max-tokens", "1").MustFail(message);
        CliResult chat = Cli.RunWith("Hi\n", "chat", "--model", model, "--max-tokens", "1");
        Assert.That(chat.Output + chat.Error, Does.Contain(message.Replace("no system", "no\n[kquant] system", StringComparison.Ordinal)));
    }

    [TestCase("[", "is not valid JSON: ")]
    [TestCase("7", "is neither a list of messages nor an object with one")]
    [TestCase("""{"messages": 5}""", "is neither a list of messages nor an object with one")]
    [TestCase("[5]", "message 1: A message is an object")]
    [TestCase("""[{"role": "user"}, {"role": 5}]""", "message 2: A message needs a 'role' that is a text")]
    [TestCase("""{"messages": [], "tools": 5}""", "has 'tools' that are no list")]
    [TestCase("""{"messages": [], "a": 1, "a": 2}""", "is not valid JSON: Duplicate property 'a'")]
    [TestCase("""[{"role": "user", "content": "\ud800"}]""", "is not valid JSON: ")]
    public void MessagesThatAreNone(string json, string message)
    {
        string file = WriteMessages(json);
        Cli.Run("template", "--model", TestModels.TinyDense, "--messages", file).MustFail(message).MustFail(file);
    }

    [TestCase("[1, 2", "Line 1 of the input is no JSON array")]
    [TestCase("[]\n[1, 2048]", "Line 2 of the input has 2048; the vocabulary has 2048 tokens")]
    [TestCase("[\"a\"]", "Line 1 of the input has '\"a\"', which is no token id")]
    public void IdsThatAreNone(string input, string message) =>
        Cli.RunWith(input, "tokenize", "--model", TestModels.TinyDense, "--decode", "--json").MustFail(message);

    [TestCase("\"a\n\"")]
    [TestCase("\"\\ud800\"")]
    [TestCase("null")]
    public void LinesThatAreNoJsonStrings(string input) =>
        Cli.RunWith(input, "tokenize", "--model", TestModels.TinyDense, "--json").MustFail("Line 1 of the input is no JSON string");

    [Test]
    public void ACacheThatIsTooSmall()
    {
        const string Message = "A cache of 3 tokens is too small; it remembers at least 16, or all with 0";
        Cli.Run("run", "--model", TestModels.TinyDense, "--max-kv-size", "3").MustFail(Message);
        Cli.RunWith("", "chat", "--model", TestModels.TinyDense, "--max-kv-size", "3").MustFail(Message);
    }

    private string WriteMessages(string json) => _folder.Write("messages.json", json);

    /// <summary>A model with this chat template.</summary>
    private string WriteTemplate(string template)
    {
        string model = RandomCheckpoint.Create("mistral").Write(_folder["model"]);
        File.WriteAllText(Path.Combine(model, "chat_template.jinja"), template);
        return model;
    }
}
