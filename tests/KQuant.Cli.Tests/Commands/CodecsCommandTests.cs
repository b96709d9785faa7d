using System.Text.Json;
using KQuant.Codecs;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant codecs</c>.</summary>
public class CodecsCommandTests
{
    private static readonly QuantCodec[] Codecs = [.. QuantCodec.All];

    [Test]
    public void ListsEveryCodecWithItsGeometry()
    {
        JsonElement[] entries = Cli.Run("codecs", "--json").MustSucceed().Json.Items("codecs");
        Assert.That(
            entries.Select(entry => (
                entry.Text("name"),
                entry.TryGetProperty("ggml_type", out JsonElement type) ? type.ToString() : "",
                entry.Flag("quantized"),
                entry.Int("weights_per_block"),
                entry.Int("bytes_per_block"),
                entry.Number("bits_per_weight"),
                entry.Text("decode_tier"),
                entry.Text("encode_tier"),
                entry.Text("product_kernel") == "float")),
            Is.EqualTo(Codecs.Select(codec => (
                codec.Name, codec.Format is { } format ? $"{(int)format}" : "", codec.IsQuantized, codec.WeightsPerBlock, codec.BytesPerBlock, codec.BitsPerWeight,
                codec.DecodeTier.ToString(), codec.EncodeTier.ToString(), !codec.IsQuantized || codec.Mlx is not null || codec.Name.EndsWith("fp4", StringComparison.Ordinal)))));
    }

    [Test]
    public void PrintsATable()
    {
        string[] lines = Cli.Run("codecs").MustSucceed().Output.TrimEnd().Split('\n');
        Assert.That(lines, Has.Length.EqualTo(Codecs.Length + 1));
        Assert.That(lines[0], Does.Match(@"^codec +decoder +encoder +product +ggml type +weights/block +bytes/block +bits/weight$"));
        Assert.That(lines.Single(line => line.StartsWith("q4_k ", StringComparison.Ordinal)), Does.Match(@"^q4_k +\w+ +\w+ +\w+ \w+ +12 +256 +144 +4\.5$"));
    }

    [Test]
    public void ShowsTheTiersOfTheMachine()
    {
        JsonElement hardware = Cli.Run("codecs", "--hardware", "--json").MustSucceed().Json.GetProperty("hardware");
        Assert.That(
            hardware.Items("tiers").Select(tier => (tier.Text("name"), tier.Flag("supported"))),
            Is.EqualTo(KernelTiers.All.ToArray().Select(tier => (tier.ToString(), KernelTiers.IsSupported(tier)))));
        Assert.That(hardware.Int("processors"), Is.EqualTo(Environment.ProcessorCount));
        Assert.That(Cli.Run("codecs", "--hardware").MustSucceed().Output, Does.Match(@"(?m)^Scalar +yes"));
    }
}
