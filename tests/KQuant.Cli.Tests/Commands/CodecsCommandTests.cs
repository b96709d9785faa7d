using System.Text.Json;
using KQuant.Codecs;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant codecs</c>.</summary>
public class CodecsCommandTests
{
    private static readonly QuantCodec[] Codecs = [.. QuantCodec.All, .. QuantCodec.Floats];

    [Test]
    public void ListsEveryCodecWithItsGeometry()
    {
        JsonElement[] entries = [.. Cli.Run("codecs", "--json").MustSucceed().Json.GetProperty("codecs").EnumerateArray()];
        Assert.That(
            entries.Select(entry => (
                entry.GetProperty("name").GetString(),
                entry.GetProperty("ggml_type").GetInt32(),
                entry.GetProperty("quantized").GetBoolean(),
                entry.GetProperty("weights_per_block").GetInt32(),
                entry.GetProperty("bytes_per_block").GetInt32(),
                entry.GetProperty("bits_per_weight").GetDouble(),
                entry.GetProperty("decode_tier").GetString())),
            Is.EqualTo(Codecs.Select(codec => (
                codec.Name, (int)codec.Format, codec.IsQuantized, codec.WeightsPerBlock, codec.BytesPerBlock, codec.BitsPerWeight,
                codec.DecodeTier.ToString()))));
    }

    [Test]
    public void PrintsATable()
    {
        string[] lines = Cli.Run("codecs").MustSucceed().Output.TrimEnd().Split('\n');
        Assert.That(lines, Has.Length.EqualTo(Codecs.Length + 1));
        Assert.That(lines[0], Does.Match(@"^codec +decoder +ggml type +weights/block +bytes/block +bits/weight$"));
        Assert.That(lines.Single(line => line.StartsWith("q4_k ", StringComparison.Ordinal)), Does.Match(@"^q4_k +\w+ +12 +256 +144 +4\.5$"));
    }

    [Test]
    public void ShowsTheTiersOfTheMachine()
    {
        JsonElement hardware = Cli.Run("codecs", "--hardware", "--json").MustSucceed().Json.GetProperty("hardware");
        Assert.That(
            hardware.GetProperty("tiers").EnumerateArray().Select(tier => (tier.GetProperty("name").GetString(), tier.GetProperty("supported").GetBoolean())),
            Is.EqualTo(KernelTiers.All.ToArray().Select(tier => (tier.ToString(), KernelTiers.IsSupported(tier)))));
        Assert.That(hardware.GetProperty("processors").GetInt32(), Is.EqualTo(Environment.ProcessorCount));
        Assert.That(Cli.Run("codecs", "--hardware").MustSucceed().Output, Does.Match(@"(?m)^Scalar +yes"));
    }
}
