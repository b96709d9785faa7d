using System.Security.Cryptography;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests;

/// <summary>The fixtures are the ones that the reference implementation made, and none is unaccounted for.</summary>
public class FixtureChecksumTests
{
    [Test]
    public void EveryFixtureHasItsChecksum()
    {
        Dictionary<string, string> listed = File.ReadLines(RepositoryFiles.Fixture("SHA256SUMS"))
            .ToDictionary(line => line[66..], line => line[..64]);
        string root = RepositoryFiles.Fixture();

        var actual = new Dictionary<string, string>();
        foreach (string path in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(root, path).Replace('\\', '/');
            if (name != "SHA256SUMS")
            {
                using FileStream stream = File.OpenRead(path);
                actual[name] = Convert.ToHexStringLower(SHA256.HashData(stream));
            }
        }

        Assert.That(actual, Is.EquivalentTo(listed));
    }
}
