using System.Text;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>What nobody would write but someone may send: the reader refuses it in bounded memory, with one kind of exception.</summary>
public class SafetensorsHostileTests
{
    private const long MaxAllocation = 64L << 20;
    private const int MaxHeader = 100_000_000;

    private static readonly string Spaces = new(' ', 100_000);

    /// <summary>Beginnings of headers, and what follows until they have 100 MB; each blows up another part of a reader.</summary>
    private static IEnumerable<TestCaseData> Bombs()
    {
        yield return Bomb("empty tensors", "{", Counted(i => $"\"{i:x}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}},"));
        yield return Bomb("metadata", "{\"__metadata__\":{", Counted(i => $"\"{i:x}\":\"\","));
        yield return Bomb("escaped metadata", "{\"__metadata__\":{\"a\":\"", Repeated(@"\u0041"));
        yield return Bomb("a long name", "{\"", Repeated("x"));
        yield return Bomb("a long dtype", "{\"a\":{\"dtype\":\"", Repeated("x"));
        yield return Bomb("dimensions", "{\"a\":{\"dtype\":\"U8\",\"shape\":[", Repeated("1,"));
        yield return Bomb("unknown fields", "{\"a\":{", Repeated("\"x\":[[],{}],"));
        yield return Bomb("brackets", "{\"a\":", Repeated("["));
        yield return Bomb("spaces", "{", Repeated(" "));

        static TestCaseData Bomb(string name, string start, Func<int, string> piece) =>
            new TestCaseData(start, piece).SetArgDisplayNames(name);

        // Half a million is more than the reader takes; the rest is filled with spaces.
        static Func<int, string> Counted(Func<int, string> piece) => i => i < 500_000 ? piece(i) : Spaces;

        static Func<int, string> Repeated(string text)
        {
            string large = string.Concat(Enumerable.Repeat(text, 10_000));
            return _ => large;
        }
    }

    [TestCaseSource(nameof(Bombs))]
    public void HeaderOf100MegabytesStaysWithinBounds(string start, Func<int, string> piece)
    {
        using var folder = new TemporaryFolder();
        string path = folder["bomb.safetensors"];
        using (FileStream stream = File.Create(path, 1 << 20))
        {
            stream.Write(BitConverter.GetBytes((long)MaxHeader));
            using (var writer = new StreamWriter(stream, System.Text.Encoding.ASCII, 1 << 16, leaveOpen: true))
            {
                writer.Write(start);
                for ((int i, long written) = (0, 0); written < MaxHeader; i++)
                {
                    string next = piece(i);
                    writer.Write(next);
                    written += next.Length;
                }
            }

            stream.SetLength(MaxHeader + 8);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path).Dispose());
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(MaxAllocation));
    }

    [Test]
    public void RealModelOf100000TensorsOpensWithinTheSameBounds()
    {
        const int Count = 100_000;
        using var folder = new TemporaryFolder();
        var header = new StringBuilder("{");
        for (int i = 0; i < Count; i++)
        {
            header.Append(i == 0 ? "" : ",")
                .Append($"\"model.layers.{i / 768}.mlp.experts.{i % 768}.down_proj.weight_scale_inv\":")
                .Append($"{{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[{4 * i},{4 * (i + 1)}]}}");
        }

        string path = folder.Write("large.safetensors", SafetensorsBytes.Build(header.Append('}').ToString(), new byte[4 * Count]));
        long before = GC.GetAllocatedBytesForCurrentThread();
        using SafetensorsFile file = SafetensorsFile.Open(path);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(MaxAllocation));
        Assert.That(file.Tensors, Has.Count.EqualTo(Count));
    }

    [TestCase("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", TestName = "LoneSurrogateInName")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"\\ud800\":0}}", TestName = "LoneSurrogateInField")]
    [TestCase("{\"__metadata__\":{\"a\":\"\\udc00\"}}", TestName = "LoneSurrogateInMetadata")]
    [TestCase("{\"a\":{\"dtype\":\"\\ud800\",\"shape\":[0],\"data_offsets\":[0,0]}}", TestName = "LoneSurrogateInType")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"shape\":[-0],\"data_offsets\":[0,0]}}", TestName = "NegativeZero")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"shape\":[0e0],\"data_offsets\":[0,0]}}", TestName = "Exponent")]
    [TestCase("{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,0]}}", TestName = "HalfAByte")]
    public void RefusesOddities(string header)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("odd.safetensors", SafetensorsBytes.Build(header, []));

        Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path).Dispose());
    }

    [Test]
    public void MessageShowsNoControlCharacters()
    {
        using var folder = new TemporaryFolder();
        string header = "{\"\\u001b[31m\\n" + new string('x', 1000) + "\":null}";
        string path = folder.Write("odd.safetensors", SafetensorsBytes.Build(header, []));

        ModelFormatException problem = Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path).Dispose())!;

        Assert.That(problem.Message.Any(char.IsControl), Is.False);
        Assert.That(problem.Message, Has.Length.LessThan(path.Length + 300));
        Assert.That(problem.TensorName, Has.Length.EqualTo(1006));
    }

    [Test]
    public void TruncationAtEveryLengthIsRefused()
    {
        byte[] whole = SampleFile();
        using var folder = new TemporaryFolder();
        for (int length = 0; length < whole.Length; length++)
        {
            string path = folder.Write("cut.safetensors", whole.AsSpan(0, length));
            Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path).Dispose(), $"{length} bytes");
        }
    }

    [Test]
    public void MutatedFilesGiveWeightsOrOneKindOfException()
    {
        const int Cases = 3000;
        byte[] whole = SampleFile();
        var random = new Random(20261121);
        using var folder = new TemporaryFolder();
        int accepted = 0;
        for (int i = 0; i < Cases; i++)
        {
            byte[] mutated = Mutation.Apply(random, whole);
            string path = folder.Write("mutated.safetensors", mutated);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                foreach (SafetensorsTensor tensor in file.Tensors)
                {
                    Assert.That(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).Length, Is.EqualTo(tensor.ByteCount));
                }

                accepted++;
            }
            catch (ModelFormatException)
            {
            }
            catch (Exception exception) when (exception is not AssertionException)
            {
                Assert.Fail($"case {i}: {exception}\n{Convert.ToBase64String(mutated)}");
            }

            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(MaxAllocation), $"case {i}");
        }

        // Mutations of the data are no errors: both outcomes have to occur, or the fuzz tests nothing.
        Assert.That(accepted, Is.InRange(Cases / 50, Cases * 9 / 10));
    }

    private static byte[] SampleFile() => SafetensorsBytes.Build(
        "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        + "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
        + "\"e\":{\"dtype\":\"I64\",\"shape\":[1,0],\"data_offsets\":[32,32]}}  ",
        new byte[32]);
}
