using System.Reflection;
using System.Text.RegularExpressions;
using KQuant.Codecs;

namespace KQuant.Cli.Tests.Repository;

/// <summary>What the packages offer is written down in <c>docs/api/</c>.</summary>
public class PublicApiTests
{
    [TestCase("KQuant.Codecs")]
    [TestCase("KQuant.Matmul")]
    [TestCase("KQuant.Metal")]
    [TestCase("KQuant.Models")]
    [TestCase("KQuant.Server")]
    public void IsAsWrittenDown(string name) => KeptText.Check($"docs/api/{name}.txt", PublicApi.Describe(Assembly.Load(name)));

    /// <summary>
    /// The listings of the last release lie in <c>docs/api/shipped</c>; what differs from them is in the changelog under its name.
    /// </summary>
    [TestCase("KQuant.Codecs")]
    [TestCase("KQuant.Matmul")]
    [TestCase("KQuant.Metal")]
    [TestCase("KQuant.Models")]
    [TestCase("KQuant.Server")]
    public void WhatChangedSinceTheLastReleaseIsInTheChangelog(string name)
    {
        string changelog = KeptText.Read("CHANGELOG.md");
        int start = changelog.IndexOf("## [Unreleased]", StringComparison.Ordinal), end = changelog.IndexOf("\n## [", start + 1, StringComparison.Ordinal);
        string unreleased = changelog[start..(end < 0 ? changelog.Length : end)];
        string shipped = KeptText.Read($"docs/api/shipped/{name}.txt"), current = PublicApi.Describe(Assembly.Load(name));

        Assert.That(
            PublicApi.Changes(shipped, current).Where(type => !Regex.IsMatch(unreleased, $@"`[^`\n]*\b{Regex.Escape(type)}\b[^`\n]*`")),
            Is.Empty,
            $"Types of {name} whose public members differ from docs/api/shipped and that CHANGELOG.md does not name under [Unreleased].");
    }

    [Test]
    public void AChangeOfAnyKindIsOne()
    {
        const string shipped = "namespace A\n\n  class X\n    int P { get; }\n\n  class Y<T>\n    void M()\n\n  enum Z : int\n    A = 0\n";
        Assert.That(PublicApi.Changes(shipped, shipped), Is.Empty);
        Assert.That(PublicApi.Changes(shipped, shipped.Replace("int P", "long P", StringComparison.Ordinal)), Is.EqualTo(["X"]));
        Assert.That(PublicApi.Changes(shipped, shipped.Replace("class Y<T>", "class Y<T> where T : struct", StringComparison.Ordinal)), Is.EqualTo(["Y"]));
        Assert.That(PublicApi.Changes(shipped, shipped[..shipped.IndexOf("\n  enum", StringComparison.Ordinal)]), Is.EqualTo(["Z"]));
        Assert.That(PublicApi.Changes("namespace A\n", shipped), Is.EqualTo(["X", "Y", "Z"]));
    }

    [Test]
    public void TheListingSeesWhatItShould()
    {
        string listing = PublicApi.Describe(typeof(QuantCodec).Assembly);
        Assert.Multiple(() =>
        {
            Assert.That(listing, Does.Contain("\n  enum QuantFormat : "));
            Assert.That(listing, Does.Contain("\n    static bool TryParse(string? name, [NotNullWhen(true)] out QuantCodec? codec)\n"));
            Assert.That(listing, Does.Contain("void Decode<T>(ReadOnlySpan<byte> source, Span<T> destination) where T : unmanaged\n"));
            Assert.That(listing, Does.Contain("\n    T Get<T>(string key) where T : notnull\n"));
            Assert.That(listing, Does.Contain("out int? expert"));
            Assert.That(listing, Does.Not.Contain("??"));
            Assert.That(listing, Does.Contain("\n    required string TensorName { get; init; }\n"));
            Assert.That(listing, Does.Contain("\n    void Deconstruct(out string Gguf, out string Checkpoint)\n"));
            Assert.That(listing, Does.Contain("\n    protected abstract void Dispose(bool disposing)\n"));
            Assert.That(listing, Does.Contain("\n  readonly ref struct EncodeOptions\n"));
            Assert.That(listing, Does.Contain("\n    int MaxDegreeOfParallelism { get; init; }\n"));
            Assert.That(listing, Does.Contain("\n  abstract class ModelSource : IDisposable\n"));
            Assert.That(listing, Does.Not.Contain("IQuantBlock"));
            Assert.That(listing, Does.Contain("\n  readonly record struct QuantShape\n"));
            Assert.That(listing, Does.Not.Contain("<Clone>"));
        });
    }
}
