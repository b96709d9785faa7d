using System.Security.Cryptography;
using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Gguf;

/// <summary>Every file of the malformed corpus gets the verdict of its manifest.</summary>
public class GgufCorpusTests
{
    private static readonly string[] ShownProperties = ["file", "expect", "reason"];

    // What this reader does where the manifest allows either; part of the documented behaviour of GgufFile.
    private static readonly Dictionary<string, bool> Choices = new()
    {
        ["alignment_odd"] = true,
        ["array_nested"] = true,
        ["big_endian"] = false,
        ["bool"] = true,
        ["duplicate_tensor"] = false,
        ["n_dims_0"] = true,
        ["name_empty"] = true,
        ["name_length"] = true,
        ["truncated_pad"] = true,
    };

    private static IEnumerable<TestCaseData> Cases
    {
        get
        {
            string path = RepositoryFiles.Fixture("malformed", "gguf", "manifest.json");
            using JsonDocument manifest = JsonDocument.Parse(File.ReadAllBytes(path));
            foreach (JsonElement item in manifest.RootElement.GetProperty("cases").EnumerateArray())
            {
                string[] shown = [.. ShownProperties.Select(name => item.GetProperty(name).GetString()!)];
                yield return new TestCaseData(item.Clone()).SetArgDisplayNames(shown);
            }
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void GetsTheVerdictOfTheManifest(JsonElement item)
    {
        string path = RepositoryFiles.Fixture("malformed", "gguf", item.GetProperty("file").GetString()!);
        string category = item.GetProperty("category").GetString()!;
        bool accept = item.GetProperty("expect").GetString() switch
        {
            "accept" => true,
            "reject" => false,
            _ => Accepts(category, item.GetProperty("reason").GetString()!),
        };

        long before = GC.GetAllocatedBytesForCurrentThread();
        ModelFormatException? refusal = GgufReading.ReadAll(path);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.That(allocated, Is.LessThan(1 << 20), "the files have a few kilobytes");
        if (accept)
        {
            Assert.That(refusal, Is.Null);
            CheckContent(path, item);
        }
        else
        {
            Assert.That(refusal, Is.Not.Null, item.GetProperty("reason").GetString());
            Assert.That(refusal!.Message, Does.StartWith(path).And.Length.LessThan(path.Length + 900));
            Assert.That(refusal.Path, Is.EqualTo(path));
            Assert.That(refusal.Offset is not null || refusal.TensorName is not null || category == "alignment", "a place is named");
        }
    }

    // Text that is no UTF-8 is refused in names, where it has to be compared and written again, but not in values. Gaps between tensors
    // cannot be misread; tensors out of order are refused as ggml does.
    private static bool Accepts(string category, string reason) => category switch
    {
        "utf8" => reason.Contains("string value", StringComparison.Ordinal),
        "layout" => !reason.Contains("order and", StringComparison.Ordinal),
        _ => Choices[category],
    };

    private static void CheckContent(string path, JsonElement item)
    {
        if (!item.TryGetProperty("content", out JsonElement content) || content.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        using GgufFile file = GgufFile.Open(path);
        Assert.That(file.Metadata, Has.Count.EqualTo(content.GetProperty("n_kv").GetInt32()));
        Assert.That(file.Metadata.Alignment, Is.EqualTo(content.GetProperty("alignment").GetUInt32()));
        JsonElement[] tensors = [.. content.GetProperty("tensors").EnumerateArray()];
        Assert.That(file.Tensors, Has.Count.EqualTo(tensors.Length));
        foreach ((GgufTensor tensor, JsonElement expected) in file.Tensors.Zip(tensors))
        {
            Assert.That(tensor.Name, Is.EqualTo(expected.GetProperty("name").GetString()));
            Assert.That(tensor.TypeId, Is.EqualTo(expected.GetProperty("type").GetUInt32()));
            Assert.That(tensor.TypeName, Is.EqualTo(expected.GetProperty("type_name").GetString()).IgnoreCase);
            Assert.That(tensor.Dimensions, Is.EqualTo(expected.GetProperty("dims").EnumerateArray().Select(dim => dim.GetInt64())));
            Assert.That(tensor.ByteCount, Is.EqualTo(expected.GetProperty("nbytes").GetInt64()));
            Assert.That(
                Convert.ToHexStringLower(SHA256.HashData(tensor.GetBytes())),
                Is.EqualTo(expected.GetProperty("sha256").GetString()),
                tensor.Name);
        }
    }
}
