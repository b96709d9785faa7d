using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>The writer's layout, its refusals, and that it streams.</summary>
public class GgufWriterTests
{
    [Test]
    public void TheLayoutIsThatOfTheFormat()
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter();
        writer.Metadata.Set("general.alignment", 64u);
        writer.Metadata.Set("name", "x");
        writer.Add("a", [3], GgmlType.Of(QuantFormat.F32), new byte[12]);
        writer.Add("b", [32, 1, 1, 1], GgmlType.Of(QuantFormat.Q8_0), new byte[34]);
        writer.Add("c", QuantShape.Stack(2, 1, 4), QuantFormat.F16, stream => stream.Write(new byte[16]));
        writer.Write(folder["out.gguf"]);

        byte[] expected = new GgufBytes { Alignment = 64 }
            .Key("general.alignment", 64u).Key("name", "x")
            .Tensor("a", [3], 0, new byte[12]).Tensor("b", [32], 8, new byte[34]).Tensor("c", [4, 1, 2], 1, new byte[16]).ToArray();
        Assert.That(File.ReadAllBytes(folder["out.gguf"]), Is.EqualTo(expected));
        Assert.That(writer.FileLength, Is.EqualTo(expected.Length));
        Assert.That((writer.Count, writer.TotalBytes), Is.EqualTo((3, 12L + 34 + 16)));
    }

    [Test]
    public void EncodedWeightsComeBack()
    {
        var random = new Random(3);
        float[] weights = [.. Enumerable.Range(0, 3 * 4 * 256).Select(_ => random.NextSingle() - 0.5f)];
        var bytes = new byte[weights.Length * sizeof(float)];
        Buffer.BlockCopy(weights, 0, bytes, 0, bytes.Length);
        using var folder = new TemporaryFolder();
        using QuantizedTensor tensor = QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), QuantShape.Stack(3, 4, 256), bytes);
        var writer = new GgufWriter();
        writer.Add("w", tensor);
        writer.Write(folder["out.gguf"]);

        using GgufFile file = GgufFile.Open(folder["out.gguf"]);
        QuantizedTensor back = file.GetTensor("w");
        Assert.That(back.Shape, Is.EqualTo(tensor.Shape));
        Assert.That(back.UnsafeGetRowBytes(11).SequenceEqual(tensor.UnsafeGetRowBytes(11)));
    }

    [Test]
    public void MemoryIsThatOfACallback()
    {
        // 32 MiB through one row of 64 KiB.
        const int rows = 512;
        var row = new byte[1 << 16];
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter();
        writer.Add("w", new QuantShape(rows, row.Length / 4), QuantFormat.F32, stream =>
        {
            for (int i = 0; i < rows; i++)
            {
                stream.Write(row);
            }
        });

        long before = GC.GetAllocatedBytesForCurrentThread();
        writer.Write(folder["out.gguf"]);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));

        using GgufFile source = GgufFile.Open(folder["out.gguf"]);
        var copy = new GgufWriter(source.Metadata);
        copy.Add(source.Tensors[0]);
        before = GC.GetAllocatedBytesForCurrentThread();
        copy.Write(folder["copy.gguf"]);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));
        Assert.That(new FileInfo(folder["copy.gguf"]).Length, Is.EqualTo(source.Length));
    }

    [Test]
    public void LargeModelsAreLaidOutIn64Bits()
    {
        var writer = new GgufWriter();
        writer.Add("big", QuantShape.Stack(1, 3L << 20, 4096), QuantFormat.Q8_0, _ => { });
        writer.Add("next", [1], GgmlType.Of(QuantFormat.F32), new byte[4]);
        Assert.That(writer.FileLength, Is.EqualTo(128 + ((3L << 20) * 4352) + 32));
    }

    [Test]
    public void ProgressEndsAtTheTotal()
    {
        var reports = new List<ModelProgress>();
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter();
        writer.Add("a", [8], GgmlType.Of(QuantFormat.F32), new byte[32]);
        writer.Add("b", [2], GgmlType.Of(QuantFormat.F32), new byte[8]);
        writer.Write(folder["out.gguf"], new SynchronousProgress(reports.Add));

        Assert.That(reports, Is.EqualTo((ModelProgress[])[Report("a", 0, 32), Report("b", 1, 40)]));

        static ModelProgress Report(string name, int index, long done) =>
            new() { TensorName = name, TensorIndex = index, TensorCount = 2, BytesDone = done, TotalBytes = 40 };
    }

    [Test]
    public void ACancelledWriteLeavesWhatWasThere()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("out.gguf", "old"u8);
        using var source = new CancellationTokenSource();
        var writer = new GgufWriter();
        writer.Add("w", [2], GgmlType.Of(QuantFormat.F32), stream =>
        {
            stream.Write(new byte[4]);
            source.Cancel();
            stream.Write(new byte[4]);
        });

        Assert.That(() => writer.Write(path, cancellationToken: source.Token), Throws.InstanceOf<OperationCanceledException>());
        AssertUntouched(folder);
    }

    [TestCase(4)]
    [TestCase(12)]
    public void ACallbackThatWritesAnotherLengthIsRefused(int length)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("out.gguf", "old"u8);
        var writer = new GgufWriter();
        writer.Add("w", [2], GgmlType.Of(QuantFormat.F32), stream => stream.Write(new byte[length]));

        Assert.That(
            () => writer.Write(path),
            Throws.InvalidOperationException.With.Message.Contains("'w' has 8 bytes").And.Message.Contains($"{length} were written"));
        AssertUntouched(folder);
    }

    [Test]
    public void NamesThatLlamaCppCannotReadAreRefused()
    {
        var writer = new GgufWriter();
        GgmlType f32 = GgmlType.Of(QuantFormat.F32);
        writer.Add(new string('n', 63), [1], f32, new byte[4]);
        Assert.That(
            () => writer.Add(new string('n', 64), [1], f32, new byte[4]),
            Throws.ArgumentException.With.Message.Contains("takes 64 bytes"));
        Assert.That(
            () => writer.Add(new string('ж', 32), [1], f32, new byte[4]),
            Throws.ArgumentException.With.Message.Contains("takes 64 bytes"));
        Assert.That(() => writer.Add("a\0b", [1], f32, new byte[4]), Throws.ArgumentException);
        Assert.That(() => writer.Add("\ud800", [1], f32, new byte[4]), Throws.InstanceOf<ArgumentException>());
        Assert.That(
            () => writer.Add(new string('n', 63), [1], f32, new byte[4]),
            Throws.ArgumentException.With.Message.Contains("already"));
    }

    [Test]
    public void DimensionsWithoutASizeAreRefused()
    {
        var writer = new GgufWriter();
        Assert.That(
            () => writer.Add("a", [33], GgmlType.Of(QuantFormat.Q4_0), new byte[18]),
            Throws.ArgumentException.With.Message.Contains("q4_0 [33]"));
        Assert.That(() => writer.Add("a", [1, 1, 1, 1, 2], GgmlType.Of(QuantFormat.F32), new byte[8]), Throws.ArgumentException);
        Assert.That(() => writer.Add("a", [-1], GgmlType.Of(QuantFormat.F32), new byte[4]), Throws.ArgumentException);
        Assert.That(() => writer.Add("a", [1L << 62, 4], GgmlType.Of(QuantFormat.F32), new byte[4]), Throws.ArgumentException);
        Assert.That(
            () => writer.Add("a", [2], GgmlType.Of(QuantFormat.F32), new byte[4]),
            Throws.ArgumentException.With.Message.Contains("has 8 bytes; 4 were given"));
    }

    [Test]
    public void AnImpossibleAlignmentIsRefusedBeforeAnythingIsWritten()
    {
        using var folder = new TemporaryFolder();
        folder.Write("out.gguf", "old"u8);
        var writer = new GgufWriter();
        writer.Metadata.Set("general.alignment", 24u);
        Assert.That(() => writer.Write(folder["out.gguf"]), Throws.TypeOf<ModelFormatException>().With.Message.Contains("24"));
        writer.Metadata.Set("general.alignment", GgufValue.From(32UL));
        Assert.That(
            () => writer.Write(folder["out.gguf"]),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("should be u32 but is u64"));
        AssertUntouched(folder);
    }

    [Test]
    public void AKeyLongerThanTheFormatAllowsIsRefused()
    {
        using var folder = new TemporaryFolder();
        folder.Write("out.gguf", "old"u8);
        var writer = new GgufWriter();
        writer.Metadata.Set(new string('k', 65536), 1);
        Assert.That(() => writer.Write(folder["out.gguf"]), Throws.InvalidOperationException.With.Message.Contains("65535"));
        AssertUntouched(folder);
    }

    private static void AssertUntouched(TemporaryFolder folder)
    {
        Assert.That(Directory.GetFiles(folder.Path), Has.Length.EqualTo(1));
        Assert.That(File.ReadAllText(folder["out.gguf"]), Is.EqualTo("old"));
    }

    private sealed class SynchronousProgress(Action<ModelProgress> report) : IProgress<ModelProgress>
    {
        public void Report(ModelProgress value) => report(value);
    }
}
