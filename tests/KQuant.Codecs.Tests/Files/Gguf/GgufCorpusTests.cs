using System.Security.Cryptography;
using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Every file of the malformed corpus gets the verdict of its manifest.</summary>
public class GgufCorpusTests
{
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

    private static IEnumerable<TestCaseData> Cases => MalformedCase.Load("gguf").Select(
        item => new TestCaseData(item).SetArgDisplayNames($"{item}", item.Expect, item.Reason));

    [TestCaseSource(nameof(Cases))]
    public void GetsTheVerdictOfTheManifest(MalformedCase item)
    {
        bool accept = item.Expect switch
        {
            "accept" => true,
            "reject" => false,
            _ => Accepts(item),
        };

        long before = GC.GetAllocatedBytesForCurrentThread();
        ModelFormatException? refusal = GgufReading.ReadAll(item.Path);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.That(allocated, Is.LessThan(1 << 20), "the files have a few kilobytes");
        if (accept)
        {
            Assert.That(refusal, Is.Null);
            CheckContent(item);
        }
        else
        {
            Assert.That(refusal, Is.Not.Null, item.Reason);
            Assert.That(refusal!.Message, Does.StartWith(item.Path).And.Length.LessThan(item.Path.Length + 900));
            Assert.That(refusal.Path, Is.EqualTo(item.Path));
            Assert.That(refusal.Offset is not null || refusal.TensorName is not null || item.Category == "alignment", "a place is named");
        }
    }

    // Text that is no UTF-8 is refused in names, where it has to be compared and written again, but not in values. Gaps between tensors
    // cannot be misread; tensors out of order are refused as ggml does.
    private static bool Accepts(MalformedCase item) => item.Category switch
    {
        "utf8" => item.Reason.Contains("string value", StringComparison.Ordinal),
        "layout" => !item.Reason.Contains("order and", StringComparison.Ordinal),
        _ => Choices[item.Category],
    };

    private static void CheckContent(MalformedCase item)
    {
        if (item.Content.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        JsonElement content = item.Content;
        using GgufFile file = GgufFile.Open(item.Path);
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
                Convert.ToHexStringLower(SHA256.HashData(tensor.UnsafeGetBytes())),
                Is.EqualTo(expected.GetProperty("sha256").GetString()),
                tensor.Name);
        }
    }
}
