using System.Text.Json;
using System.Xml.Linq;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant compare</c>.</summary>
public class CompareCommandTests
{
    [Test]
    public void ModelsAreMeasuredAsPerplexityDoes()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text"], string.Concat(Enumerable.Repeat("It was a dark evening, and he had not been in the room. ", 30)));
        foreach (string codec in (string[])["q8_0", "q2_k"])
        {
            Cli.Quantize(TestModels.TinyDense, codec, folder[codec + ".gguf"]).MustSucceed();
        }

        JsonElement report = Cli.Run(
            "compare", "--models", folder["q8_0.gguf"], folder["q2_k.gguf"], "--against", TestModels.TinyDense, "--file", folder["text"], "--ctx", "64",
            "--svg", folder["picture.svg"], "--html", folder["page.html"], "--json").MustSucceed().Json;
        JsonElement[] models = report.Items("models");
        JsonElement alone = Cli.Run(
            "perplexity", folder["q2_k.gguf"], "--against", TestModels.TinyDense, "--file", folder["text"], "--ctx", "64", "--json").MustSucceed().Json;
        Assert.Multiple(() =>
        {
            Assert.That(models, Has.Length.EqualTo(2));
            Assert.That(models[1].Number("perplexity"), Is.EqualTo(alone.Number("perplexity")));
            Assert.That(models[0].Number("mean_divergence"), Is.LessThan(models[1].Number("mean_divergence") / 10));
            Assert.That(models[0].Number("file_bytes"), Is.EqualTo(new FileInfo(folder["q8_0.gguf"]).Length));
            Assert.That(models[0].Number("bits_per_weight"), Is.InRange(8.5, 9));
            Assert.That(XDocument.Load(folder["picture.svg"]).Descendants().Count(element => element.Name.LocalName == "circle"), Is.EqualTo(2));
            Assert.That(XDocument.Load(folder["picture.svg"]).Descendants().Where(element => element.Name.LocalName == "title").Select(element => element.Value),
                Is.EqualTo((string[])["q8_0.gguf", "q2_k.gguf"]));
            Assert.That(File.ReadAllText(folder["page.html"]), Does.Contain("<svg").And.Contain("q2_k.gguf").And.Not.Contain("<script"));
        });
        Assert.That(
            Cli.Run("compare", "--models", folder["q8_0.gguf"], "--against", TestModels.TinyDense, "--file", folder["text"], "--ctx", "64").MustSucceed().Output,
            Does.Match(@"q8_0\.gguf +\d+ +8\.\d+ +").And.Contain("mean KLD"));
    }
}
