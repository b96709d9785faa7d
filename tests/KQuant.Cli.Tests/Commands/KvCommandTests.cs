using System.Text.Json;
using KQuant.Models;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant kv</c>.</summary>
public class KvCommandTests
{
    [Test]
    public void BenchListsEveryKindWithWhatItTakes()
    {
        JsonElement report = Cli.Run("kv", "bench", "--tokens", "64", "--rounds", "0", "--json").MustSucceed().Json;
        JsonElement[] kinds = [.. report.GetProperty("kinds").EnumerateArray()];
        Assert.That(kinds.Select(kind => kind.GetProperty("name").GetString()), Is.SupersetOf(CacheFormat.All.Select(format => format.Name)).And.Contains("rotated q4_0"));
        foreach (JsonElement kind in kinds)
        {
            Assert.That(kind.GetProperty("key_bits").GetDouble(), Is.EqualTo(kind.GetProperty("key_bytes").GetInt32() / 16.0));
            Assert.That(kind.GetProperty("value_cosine").GetDouble(), Is.InRange(0.9, 1.0000001));
            Assert.That(kind.GetProperty("attentions_per_second").ValueKind, Is.EqualTo(JsonValueKind.Null));
        }

        string table = Cli.Run("kv", "bench", "--tokens", "32", "--head-size", "48", "--rounds", "1").MustSucceed().Output;
        Assert.That(table, Does.Contain("turboquant_mse4").And.Not.Contain("q4_0"), "heads of 48 are no whole blocks");
    }

    [Test]
    public void CompareShowsWhereTextsPart()
    {
        string[] common = ["kv", "compare", "--model", TestModels.TinyDense, "--prompt", "It is a truth", "--max-tokens", "24"];
        Assert.That(Cli.Run([.. common, "--kv", "f16"]).MustSucceed().Output, Does.Contain("The texts are the same").And.Contain("mean 0.000000"));
        JsonElement report = Cli.Run([.. common, "--kv", "turboquant_mse2", "--json"]).MustSucceed().Json;
        Assert.That(report.GetProperty("mean_divergence").GetDouble(), Is.InRange(1e-4, 2));
        Assert.That(report.GetProperty("common_tokens").GetInt32(), Is.LessThanOrEqualTo(report.GetProperty("dense_tokens").GetInt32()));
        Assert.That(report.GetProperty("dense_bytes").GetInt64(), Is.GreaterThan(6 * report.GetProperty("other_bytes").GetInt64()));
        Assert.That(report.GetProperty("dense_text").GetString(), Is.Not.Empty);
        Cli.Run([.. common[..4], "--prompt", ""]).MustFail("--prompt has no tokens.");
    }
}
