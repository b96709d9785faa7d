using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Cli.Commands;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>What <c>kquant inspect</c> says that a model computes.</summary>
public class InspectArchitectureTests
{
    [Test]
    public void WindowsAndSinksOfGptOss()
    {
        JsonElement parts = Inspect("gpt-oss");
        JsonElement[] attention = [.. parts.Items("attention")];
        JsonElement experts = parts.Items("feed_forward").Single();
        Assert.Multiple(() =>
        {
            Assert.That(attention.Select(kind => kind.Ints("layers")), Is.EqualTo((int[][])[[0, 2], [1, 3]]));
            Assert.That(attention[0].Int("window"), Is.EqualTo(8));
            Assert.That(attention[1].IsNull("window"));
            Assert.That(attention.Select(kind => kind.Int("head_size")), Is.All.EqualTo(96));
            Assert.That(attention.All(kind => kind.GetProperty("sinks").GetBoolean()));
            Assert.That(experts.Int("experts"), Is.EqualTo(4));
            Assert.That(experts.Int("experts_per_token"), Is.EqualTo(2));
            Assert.That(experts.Text("activation"), Is.EqualTo("clamped swiglu"));

            // Keys and values of two heads in four layers, and in the two without a window.
            Assert.That(parts.Int("cache_bytes_per_token"), Is.EqualTo(4 * 2 * 2 * 96 * 2));
            Assert.That(parts.Int("cache_bytes_per_token_beyond_windows"), Is.EqualTo(2 * 2 * 2 * 96 * 2));
        });
    }

    [Test]
    public void SoftCapsOfGemma2()
    {
        JsonElement[] attention = [.. Inspect("gemma2").Items("attention")];
        Assert.That(attention.Select(kind => kind.Int("soft_cap")), Is.EqualTo([50, 50]));
    }

    [Test]
    public void DenseLayersAndSharedExpertsOfGlm4()
    {
        JsonElement[] parts = [.. Inspect("glm4-moe").Items("feed_forward")];
        Assert.Multiple(() =>
        {
            Assert.That(parts.Select(part => part.Ints("layers")[0]), Is.EqualTo([0, 1]));
            Assert.That(parts[0].IsNull("experts"));
            Assert.That(parts[1].Text("router"), Is.EqualTo("sigmoid"));
            Assert.That(parts[1].Int("shared_intermediate_size"), Is.Positive);
        });
    }

    [Test]
    public void LayersWithoutPositionsOfSmolLm3() =>
        Assert.That(
            Inspect("smollm3").Items("attention").Single(kind => !kind.GetProperty("rotated").GetBoolean()).Ints("layers"), Is.EqualTo([3]));

    [TestCase("llama3")]
    [TestCase("qwen3-moe")]
    public void TheCacheTakesTheBytesThatItSays(string name)
    {
        using var folder = new TemporaryFolder();
        RandomCheckpoint.Create(name).Write(folder["m"]);
        using var model = LanguageModel.Load(folder["m"], new ModelOptions { LoadTokenizer = false });
        var options = CacheOptions.Uniform(CacheFormat.F16);
        long perToken = (model.GetCacheByteCount(256, options: options) - model.GetCacheByteCount(128, options: options)) / 128;
        Assert.That(Inspect(name).Int("cache_bytes_per_token"), Is.EqualTo(perToken));
    }

    [Test]
    public void AFileSaysWhatItsFolderSays([Values("gpt-oss", "glm4-moe", "smollm3")] string name)
    {
        using var folder = new TemporaryFolder();
        RandomCheckpoint.Create(name).Write(folder["m"]);
        Cli.Run("quantize", "--model", folder["m"], "--kquant-type", "q8_0", "--output", folder["m.gguf"]).MustSucceed();
        CliResult folderReport = Cli.Inspect(folder["m"]).MustSucceed(), fileReport = Cli.Inspect(folder["m.gguf"]).MustSucceed();
        Assert.That(Parts(fileReport.Output), Is.EqualTo(Parts(folderReport.Output)).And.Contain("query heads"));

        static string Parts(string text) => text.Split("\n\n")[1];
    }

    [Test]
    public void AnArchitectureThatIsNotRunIsNamed()
    {
        using var folder = new TemporaryFolder();
        RandomCheckpoint.Create("llama3").Write(folder["m"]);
        JsonObject config = JsonNode.Parse(File.ReadAllText(folder["m/config.json"]))!.AsObject();
        config["model_type"] = "mamba2";
        File.WriteAllText(folder["m/config.json"], config.ToJsonString());
        Assert.That(Cli.Inspect(folder["m"]).MustSucceed().Output, Does.Match("it cannot be run: .*mamba2"));
        JsonElement report = Cli.Inspect(folder["m"], "--json").MustSucceed().Json;
        Assert.That(report.IsNull("architecture"));
        Assert.That(report.Text("architecture_problem"), Does.Contain("mamba2"));
    }

    [TestCase(new[] { 0 }, "0")]
    [TestCase(new[] { 0, 1, 2, 5 }, "0-2, 5")]
    [TestCase(new[] { 1, 3, 5, 7 }, "1-7 by 2")]
    [TestCase(new[] { 0, 1, 2, 3, 4, 6, 7, 8 }, "0-4, 6-8")]
    [TestCase(new[] { 2, 8 }, "2, 8")]
    [TestCase(new[] { 0, 5, 6, 7 }, "0, 5-7")]
    public void RangesOfLayers(int[] layers, string expected) => Assert.That(ArchitectureInspection.Ranges(layers), Is.EqualTo(expected));

    private static JsonElement Inspect(string name)
    {
        using var folder = new TemporaryFolder();
        RandomCheckpoint.Create(name).Write(folder["m"]);
        return Cli.Inspect(folder["m"], "--json").MustSucceed().Json.GetProperty("architecture");
    }
}
