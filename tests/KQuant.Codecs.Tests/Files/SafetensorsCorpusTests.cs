using System.Security.Cryptography;
using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Every file of <c>fixtures/malformed/safetensors</c> gets the verdict of its manifest.</summary>
public class SafetensorsCorpusTests
{
    private const long MaxAllocation = 64L << 20;

    /// <summary>Where the manifest leaves the choice: what this reader does, see <see cref="SafetensorsFile"/>.</summary>
    private static readonly Dictionary<string, string> Choices = new()
    {
        ["leading_space"] = "accept",
        ["info_extra"] = "accept",
        ["overflow_zero"] = "reject",
        ["duplicate_meta_key"] = "reject",
        ["metadata_null"] = "accept",
    };

    private static IEnumerable<TestCaseData> Cases =>
        MalformedCase.Load("safetensors").Select(item => new TestCaseData(item).SetArgDisplayNames(item.ToString(), item.Reason));

    [TestCaseSource(nameof(Cases))]
    public void FollowsTheManifest(MalformedCase item)
    {
        string expect = item.Expect == "either" ? Choices[item.Category] : item.Expect;
        long before = GC.GetAllocatedBytesForCurrentThread();
        if (expect == "reject")
        {
            ModelFormatException problem = Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(item.Path).Dispose())!;
            Assert.That(problem.Message, Does.StartWith(item.Path));
            Assert.That(problem.Path, Is.EqualTo(item.Path));
        }
        else
        {
            using SafetensorsFile file = SafetensorsFile.Open(item.Path);
            CheckContent(file, item);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(MaxAllocation));
    }

    private static void CheckContent(SafetensorsFile file, MalformedCase item)
    {
        if (item.Content.ValueKind == JsonValueKind.Undefined)
        {
            return;
        }

        JsonElement[] expected = [.. item.Content.GetProperty("tensors").EnumerateArray()];
        Assert.That(
            file.Tensors.Select(tensor => tensor.Name), Is.EqualTo(expected.Select(entry => entry.GetProperty("name").GetString())));
        foreach (JsonElement entry in expected)
        {
            SafetensorsTensor tensor = file.Tensors.Single(candidate => candidate.Name == entry.GetProperty("name").GetString());
            long dataStart = BitConverter.ToInt64(File.ReadAllBytes(item.Path)) + 8;
            using (Assert.EnterMultipleScope())
            {
                Assert.That(tensor.ElementType.ToString(), Is.EqualTo(entry.GetProperty("dtype").GetString()));
                Assert.That(tensor.Shape, Is.EqualTo(entry.GetProperty("shape").EnumerateArray().Select(length => length.GetInt64())));
                Assert.That(tensor.Offset - dataStart, Is.EqualTo(entry.GetProperty("begin").GetInt64()));
                Assert.That(tensor.Offset - dataStart + tensor.ByteCount, Is.EqualTo(entry.GetProperty("end").GetInt64()));
                Assert.That(
                    Convert.ToHexStringLower(SHA256.HashData(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount))),
                    Is.EqualTo(entry.GetProperty("sha256").GetString()));
            }
        }

        JsonElement metadata = item.Content.GetProperty("metadata");
        Assert.That(
            file.Metadata,
            Is.EquivalentTo(
                metadata.ValueKind == JsonValueKind.Null
                    ? []
                    : metadata.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetString()!)));
    }
}
