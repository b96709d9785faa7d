using System.Buffers.Binary;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Files that claim much: what they claim is checked before it costs anything.</summary>
public class GgufHostileTests
{
    private const long MaxAllocation = 64 << 20;

    private static readonly string[] BaseFiles =
    [
        "wellformed-04", "wellformed-06", "wellformed-10", "wellformed-14", "alignment_ok-00", "array_nested-00", "n_dims_0-00",
        "dim_zero-00",
    ];

    [Test]
    public void EveryTruncationIsRefusedUntilTheDataIsComplete()
    {
        byte[] file = new GgufBytes()
            .Key("general.architecture", "test").Strings("tokens", "a", "", "longer").Array("scores", 6, 2, new byte[8])
            .Tensor("first", 1, 2, 3).Tensor("second", [32, 2], 8, new byte[68]).ToArray();
        int dataEnd = file.Length - 28;
        using var folder = new TemporaryFolder();
        for (int length = 0; length < file.Length; length++)
        {
            ModelFormatException? refusal = GgufReading.ReadAll(folder.Write("cut.gguf", file.AsSpan(0, length)));

            // Complete data without any padding behind it is what some writers leave.
            Assert.That(refusal is null, Is.EqualTo(length == dataEnd), $"cut at {length}");
        }

        Assert.That(GgufReading.ReadAll(folder.Write("whole.gguf", file)), Is.Null);
    }

    [Test]
    public void MutationsAreReadOrRefused([Range(0, 7)] int seed)
    {
        const int cases = 700;
        using var folder = new TemporaryFolder();
        var random = new Random(20261101 + seed);
        byte[][] files = [.. BaseFiles.Select(name => File.ReadAllBytes(RepositoryFiles.Fixture("malformed", "gguf", name + ".gguf")))];
        int refused = 0;
        for (int i = 0; i < cases; i++)
        {
            byte[] mutant = Mutate(files, random);
            string path = folder.Write("mutant.gguf", mutant);
            long before = GC.GetAllocatedBytesForCurrentThread();
            ModelFormatException? refusal;
            try
            {
                refusal = GgufReading.ReadAll(path);
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}, case {i}: {Convert.ToHexString(mutant)}", exception);
            }

            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(2 << 20), $"case {i}");
            refused += refusal is null ? 0 : 1;
        }

        Assert.That(refused, Is.InRange(cases / 4, cases - (cases / 20)), "both outcomes are met");
    }

    [TestCase(1_300_000, true)]
    [TestCase(1_300_000, false)]
    public void ManyNamesAreRefusedBeforeTheyCostMuch(int count, bool asTensors)
    {
        // A file of some 40 MB in which every entry is well-formed.
        using var folder = new TemporaryFolder();
        string path = folder["many.gguf"];
        using (var writer = new BinaryWriter(File.Create(path)))
        {
            writer.Write("GGUF"u8);
            writer.Write(3);
            writer.Write(asTensors ? (long)count : 0);
            writer.Write(asTensors ? 0 : (long)count);
            for (int i = 0; i < count; i++)
            {
                writer.Write(GgufBytes.Text($"{i:x8}"));
                writer.Write(0);
                writer.Write(asTensors ? new byte[12] : [1]);
            }

            writer.Write(new byte[64]);
        }

        (ModelFormatException? refusal, long allocated) = Measure(path);

        Assert.That(refusal, Is.Not.Null);
        Assert.That(refusal!.Message, Does.Contain("MiB of memory"));
        Assert.That(allocated, Is.LessThan(MaxAllocation));
    }

    [Test]
    public void AsManyNamesAsFitTheBudgetFitTheLimit()
    {
        const int count = 145_000;
        var file = new GgufBytes();
        for (int i = 0; i < count; i++)
        {
            file.Tensor($"{i}", [0], 0, []);
        }

        using var folder = new TemporaryFolder();
        (ModelFormatException? refusal, long allocated) = Measure(folder.Write("many.gguf", file.ToArray()));

        Assert.That(refusal, Is.Null);
        Assert.That(allocated, Is.LessThan(MaxAllocation));
    }

    [Test]
    public void AGigabyteOfEmptyStringsIsRefused()
    {
        using var folder = new TemporaryFolder();
        string path = SparseFile.Create(folder, 9L << 30, new GgufBytes().Array("tokens", 8, 1L << 30).Header().AsSpan(0, 50));

        (ModelFormatException? refusal, long allocated) = Measure(path);

        Assert.That(refusal, Is.Not.Null);
        Assert.That(refusal!.Message, Does.Contain("key 'tokens'").And.Contain("1073741824"));
        Assert.That(allocated, Is.LessThan(1 << 20));
    }

    [Test]
    public void AVocabularyIsOpenedWithoutDecodingIt()
    {
        string[] tokens = [.. Enumerable.Range(0, 150_000).Select(i => $"token {i}")];
        using var folder = new TemporaryFolder();
        string path = folder.Write("vocabulary.gguf", new GgufBytes().Strings("tokenizer.ggml.tokens", tokens).ToArray());

        long before = GC.GetAllocatedBytesForCurrentThread();
        using GgufFile file = GgufFile.Open(path);
        GgufStrings strings = file.Metadata.GetStrings("tokenizer.ggml.tokens");
        _ = strings[149_999];
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(100_000));
        Assert.That(strings, Is.EqualTo(tokens));
    }

    [Test]
    public void ArraysMayBeNestedFourDeep()
    {
        byte[] Nested(int depth) => depth == 1
            ? [.. BitConverter.GetBytes(4), .. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(7)]
            : [.. BitConverter.GetBytes(9), .. BitConverter.GetBytes(1L), .. Nested(depth - 1)];

        using var folder = new TemporaryFolder();
        Assert.That(GgufReading.ReadAll(folder.Write("4.gguf", new GgufBytes().Key("deep", 9, Nested(4)).ToArray())), Is.Null);
        ModelFormatException? refusal = GgufReading.ReadAll(folder.Write("5.gguf", new GgufBytes().Key("deep", 9, Nested(5)).ToArray()));
        Assert.That(refusal?.Message, Does.Contain("key 'deep': arrays are nested more than 4 deep"));
    }

    [Test]
    public void NamesInMessagesAreShortAndPrintable()
    {
        string key = "\u001b[31m" + new string('x', 60_000);
        using var folder = new TemporaryFolder();
        ModelFormatException? refusal = GgufReading.ReadAll(folder.Write("key.gguf", new GgufBytes().Key(key, 99u, []).ToArray()));

        Assert.That(refusal, Is.Not.Null);
        Assert.That(refusal!.Message, Has.Length.LessThan(1000).And.Not.Contain("\u001b"));
    }

    private static (ModelFormatException? Refusal, long Allocated) Measure(string path)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        ModelFormatException? refusal = null;
        try
        {
            GgufFile.Open(path).Dispose();
        }
        catch (ModelFormatException exception)
        {
            refusal = exception;
        }

        return (refusal, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static byte[] Mutate(byte[][] files, Random random)
    {
        byte[] file = [.. files[random.Next(files.Length)]];
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            // Most of a change should hit the header.
            int at = random.Next(random.Next(3) == 0 ? file.Length : Math.Min(file.Length, 400));
            switch (random.Next(6))
            {
                case 0:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    file[at] = (byte)random.Next(256);
                    break;
                case 2:
                    file = file[..at];
                    break;
                case 3:
                    byte[] other = files[random.Next(files.Length)];
                    file = [.. file[..at], .. other[random.Next(other.Length)..]];
                    break;
                case 4:
                    int end = Math.Min(file.Length, at + random.Next(1, 64));
                    file = [.. file[..at], .. file[end..]];
                    break;
                default:
                    WriteNumber(file, at, random);
                    break;
            }

            if (file.Length == 0)
            {
                break;
            }
        }

        return file;
    }

    /// <summary>Puts a number where one may be: the edges of what lengths, counts and dimensions can be.</summary>
    private static void WriteNumber(byte[] file, int at, Random random)
    {
        ulong[] edges =
        [
            0, 1, 2, 31, 32, 255, 256, 65535, int.MaxValue, uint.MaxValue, 1UL << 32, 1UL << 40, long.MaxValue, 1UL << 63, ulong.MaxValue,
            ulong.MaxValue - 31,
        ];
        ulong number = edges[random.Next(edges.Length)] + (ulong)random.Next(3);
        if (random.Next(2) == 0 && at + 8 <= file.Length)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), number);
        }
        else if (at + 4 <= file.Length)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), (uint)number);
        }
    }
}
