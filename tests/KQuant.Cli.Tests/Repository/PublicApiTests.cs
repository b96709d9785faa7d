using System.Reflection;
using KQuant.Codecs;

namespace KQuant.Cli.Tests.Repository;

/// <summary>What the packages offer is written down in <c>docs/api/</c>.</summary>
public class PublicApiTests
{
    [TestCase("KQuant.Codecs")]
    [TestCase("KQuant.Matmul")]
    [TestCase("KQuant.Metal")]
    [TestCase("KQuant.Models")]
    public void IsAsWrittenDown(string name) => KeptText.Check($"docs/api/{name}.txt", PublicApi.Describe(Assembly.Load(name)));

    [Test]
    public void TheListingSeesWhatItShould()
    {
        string listing = PublicApi.Describe(typeof(QuantCodec).Assembly);
        Assert.Multiple(() =>
        {
            Assert.That(listing, Does.Contain("\n  enum QuantFormat : "));
            Assert.That(listing, Does.Contain("\n    static bool TryParse(string? name, out QuantCodec? codec)\n"));
            Assert.That(listing, Does.Contain("\n  readonly ref struct EncodeOptions\n"));
            Assert.That(listing, Does.Contain("\n    int MaxDegreeOfParallelism { get; init; }\n"));
            Assert.That(listing, Does.Contain("\n  abstract class ModelSource : IDisposable\n"));
            Assert.That(listing, Does.Not.Contain("IQuantBlock"));
            Assert.That(listing, Does.Contain("\n  readonly record struct QuantShape\n"));
            Assert.That(listing, Does.Not.Contain("<Clone>"));
        });
    }
}
