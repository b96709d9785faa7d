using System.Text.Json;
using KQuant.Cli.Benchmarks.Limits;
using KQuant.Codecs;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant bench limits</c>: what it prints and how it ends. How fast anything is is not tested.</summary>
public class BenchLimitsTests
{
    private static IEnumerable<InstructionChain> Supported => InstructionChain.All.Where(chain => chain.IsSupported);

    [Test]
    public void ReportsEveryChainThatTheMachineRuns()
    {
        CliResult result = Cli.Run("bench", "limits", "--threads", "1", "--threads", "2", "--rounds", "1", "--json").MustSucceed();

        using JsonDocument report = JsonDocument.Parse(result.Output);
        JsonElement[] memory = report.RootElement.Items("memory"), chains = report.RootElement.Items("chains");
        Assert.Multiple(() =>
        {
            Assert.That(memory.Select(limit => limit.Int("threads")), Is.EqualTo([1, 2]));
            Assert.That(memory.Select(limit => limit.Number("read_gbps")), Is.All.Positive);
            Assert.That(
                chains.Select(limit => $"{limit.Text("tier")} {limit.Text("chain")} {limit.Int("threads")}"),
                Is.EqualTo(Supported.SelectMany(chain => new[] { $"{chain} 1", $"{chain} 2" })));
            Assert.That(chains.Select(limit => limit.Number("gops")), Is.All.Positive);
        });
    }

    [Test]
    public void PrintsAlignedTextWhereNobodyLooks()
    {
        CliResult result = Cli.Run("bench", "limits", "--threads", "1", "--rounds", "1").MustSucceed();

        string[] lines = result.Output.TrimEnd().Split('\n');
        Assert.That(lines[4], Does.Match("^tier +limit +1 thread$"));
        Assert.That(lines[5], Does.Match(@"^ +memory +[\d.]+$"));
        Assert.That(lines, Has.Length.EqualTo(6 + Supported.Count()));
    }

    [Test]
    public void EveryIntegerTierOfTheMachineHasALimitForEveryCodec()
    {
        Assert.Multiple(() =>
        {
            foreach (KernelTier tier in Supported.Select(chain => chain.Tier))
            {
                foreach (QuantCodec codec in QuantCodec.Quantized)
                {
                    Assert.That(InstructionChain.For(codec, tier, isInteger: true), Is.Not.Null, $"{codec} {tier}");
                }

                Assert.That(InstructionChain.For(QuantCodec.Get(QuantFormat.F16), tier, isInteger: false)?.Name, Is.EqualTo("float32"), $"{tier}");
            }

            Assert.That(InstructionChain.For(QuantCodec.Get(QuantFormat.Q4_K), KernelTier.Scalar, isInteger: true), Is.Null);
        });
    }

    [TestCase("--threads is a number from 1 to 1024.", "--threads", "0")]
    [TestCase("--rounds is a number from 1 to 10000.", "--rounds", "0")]
    public void WrongUsageIsTwo(string message, string option, string value)
    {
        CliResult result = Cli.Run("bench", "limits", option, value);

        Assert.That(result.Error, Does.Contain(message));
        Assert.That(result.ExitCode, Is.EqualTo(2));
    }
}
