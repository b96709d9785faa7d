namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant tokenize</c> and <c>kquant template</c>.</summary>
public class TextCommandTests
{
    private const string Line = "It was \"dark\"\n<|im_end|>";

    [Test]
    public void LinesBecomeIdsAndIdsLines()
    {
        string json = "\"It was \\\"dark\\\"\\n<|im_end|>\"\n";
        string ids = Cli.RunWith(json, "tokenize", "--model", TestModels.TinyDense, "--json").MustSucceed().Output;
        Assert.That(ids, Does.StartWith("[").And.EndsWith(",2047]\n"));
        string back = Cli.RunWith(ids, "tokenize", "--model", TestModels.TinyDense, "--json", "--decode").MustSucceed().Output;
        Assert.That(System.Text.Json.Nodes.JsonNode.Parse(back)!.GetValue<string>(), Is.EqualTo(Line));
    }

    [Test]
    public void PlainLines()
    {
        string ids = Cli.RunWith("Mr. Holmes\n\nEmma\n", "tokenize", "--model", TestModels.TinyDense).MustSucceed().Output;
        Assert.That(ids.Split('\n'), Has.Length.EqualTo(4));
        Assert.That(
            Cli.RunWith(ids, "tokenize", "--model", TestModels.TinyDense, "--decode").MustSucceed().Output, Is.EqualTo("Mr. Holmes\n\nEmma\n"));
    }

    [Test]
    public void WhatIsNoIdIsNamed() =>
        Cli.RunWith("1 2\n3 x\n", "tokenize", "--model", TestModels.TinyDense, "--decode").MustFail("Line 2 of the input has 'x'");

    [Test]
    public void ATemplateIsRendered()
    {
        using var folder = new TestKit.TemporaryFolder();
        File.WriteAllText(folder["m.json"], """[{"role": "user", "content": "Hi"}]""");
        Assert.That(
            Cli.Run("template", "--model", TestModels.TinyDense, "--messages", folder["m.json"]).MustSucceed().Output,
            Is.EqualTo("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"));
        Assert.That(
            Cli.Run("template", "--model", TestModels.TinyDense, "--messages", folder["m.json"], "--no-generation-prompt").MustSucceed().Output,
            Is.EqualTo("<|im_start|>user\nHi<|im_end|>\n"));
    }

    [Test]
    public void AFileWithoutMessagesIsRefused()
    {
        using var folder = new TestKit.TemporaryFolder();
        File.WriteAllText(folder["m.json"], "{}");
        Cli.Run("template", "--model", TestModels.TinyDense, "--messages", folder["m.json"]).MustFail("neither a list of messages");
    }
}
