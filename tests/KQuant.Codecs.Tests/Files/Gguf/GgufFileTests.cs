using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>What a program sees of a file: shapes, views, unknown types, sizes beyond 32 bits, the end of its life.</summary>
public class GgufFileTests
{
    [Test]
    public void DimensionsBecomeExpertsRowsAndColumns()
    {
        using var folder = new TemporaryFolder();
        using GgufFile file = GgufFile.Open(folder.Write("shapes.gguf", new GgufBytes()
            .Tensor("scalar", [], 0, new byte[4])
            .Tensor("vector", [6], 0, new byte[24])
            .Tensor("matrix", [4, 3], 1, new byte[24])
            .Tensor("stack", [2, 3, 5], 0, new byte[120])
            .Tensor("four", [2, 3, 5, 2], 0, new byte[240])
            .Tensor("empty", [0, 1L << 50], 0, [])
            .ToArray()));

        Assert.That(file.GetTensor("scalar").Shape, Is.EqualTo(QuantShape.Stack(1, 1, 1)));
        Assert.That(file.GetTensor("vector").Shape, Is.EqualTo(QuantShape.Stack(1, 1, 6)));
        Assert.That(file.GetTensor("matrix").Shape, Is.EqualTo(QuantShape.Stack(1, 3, 4)));
        Assert.That(file.GetTensor("stack").Shape, Is.EqualTo(QuantShape.Stack(5, 3, 2)));
        Assert.That(file.GetTensor("four").Shape, Is.EqualTo(QuantShape.Stack(10, 3, 2)));
        Assert.That(file.GetTensor("empty").Shape.TotalRows, Is.Zero, "nobody should count to 2^50");
    }

    [Test]
    public void ATypeWithoutCodecIsListedCopiedAndNamedWhenDecoded()
    {
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "iq4_xs.gguf"));
        Assert.That(file.TryGet("w", out GgufTensor? tensor));
        Assert.That((tensor!.TypeName, tensor.TypeId, tensor.Codec), Is.EqualTo(("iq4_xs", 23u, (QuantCodec?)null)));
        Assert.That(tensor.UnsafeGetBytes().Length, Is.EqualTo(tensor.ByteCount));

        Assert.That(
            () => tensor.AsWeights(),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains("'w'").And.Message.Contains("iq4_xs (GGML type 23)")
                .And.Message.Contains("q4_k"));
    }

    [TestCase(77u)]
    [TestCase(4u)]
    [TestCase(uint.MaxValue)]
    public void AnUnknownTypeIsListedAndCopiedAndRefusedOnlyWhenItsDataIsAskedFor(uint type)
    {
        using var folder = new TemporaryFolder();
        using GgufFile file = GgufFile.Open(folder.Write("unknown.gguf", new GgufBytes()
            .Tensor("before", 1, 2).Tensor("odd", [7, 3], type, new byte[40]).Tensor("after", 3, 4).ToArray()));
        Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EqualTo((string[])["before", "odd", "after"]));
        GgufTensor odd = file.Tensors[1];
        Assert.That((odd.TypeId, odd.Type, odd.ByteCount, odd.TypeName), Is.EqualTo((type, (GgmlType?)null, (long?)null, $"type {type}")));
        Assert.That(file.GetTensor("after").UnsafeGetRowBytes(0).Length, Is.EqualTo(8));

        foreach (Action read in new Action[] { () => odd.UnsafeGetBytes(), () => odd.AsWeights() })
        {
            Assert.That(
                read,
                Throws.TypeOf<ModelFormatException>().With.Message.Contains("'odd'").And.Message.Contains($"type {type} ")
                    .And.Message.Contains("iq4_nl"));
        }

        // Whatever the type is, its bytes end where the next tensor begins.
        var writer = new GgufWriter();
        foreach (GgufTensor tensor in file.Tensors)
        {
            writer.Add(tensor);
        }

        writer.Write(folder["copy.gguf"]);
        using GgufFile copy = GgufFile.Open(folder["copy.gguf"]);
        Assert.That(copy.Tensors.Select(tensor => (tensor.Name, tensor.TypeId)), Is.EqualTo(file.Tensors.Select(tensor => (tensor.Name, tensor.TypeId))));
        Assert.That(copy.Tensors[2].Offset - copy.Tensors[1].Offset, Is.EqualTo(file.Tensors[2].Offset - odd.Offset));
        Assert.That(copy.GetTensor("after").UnsafeGetRowBytes(0).SequenceEqual(file.GetTensor("after").UnsafeGetRowBytes(0)));
    }

    [Test]
    public void AMissingTensorIsNamed()
    {
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_0.gguf"));
        Assert.That(() => file.GetTensor("nothing"), Throws.TypeOf<KeyNotFoundException>().With.Message.Contains("'nothing'"));
    }

    [Test]
    public void NothingIsReadAfterTheFileIsDisposed()
    {
        GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_0.gguf"));
        GgufTensor tensor = file.Tensors[0];
        QuantizedTensor weights = file.GetTensor("w");
        GgufValue value = file.Metadata["fixture.seed"];
        file.Dispose();

        Assert.That(() => tensor.UnsafeGetBytes(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => weights.UnsafeGetRowBytes(0), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => value.TryGetInteger(out _), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(file.Dispose, Throws.Nothing);
    }

    [Test]
    public void PartsOfATensorAreCheckedAgainstItsLength()
    {
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_0.gguf"));
        Assert.That(file.TryGet("w", out GgufTensor? tensor));
        long length = tensor!.ByteCount!.Value;

        Assert.That(tensor.UnsafeGetBytes(length - 3, 3).SequenceEqual(tensor.UnsafeGetBytes()[^3..]));
        Assert.That(() => tensor.UnsafeGetBytes(length - 3, 4), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => tensor.UnsafeGetBytes(long.MaxValue, 1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => tensor.UnsafeGetBytes(-1, 4),
            Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.StartsWith("4 bytes at -1 do not lie inside tensor 'w', which has "));
    }

    [Test]
    public void AFileThatIsNotThereIsAnIOError()
    {
        using var folder = new TemporaryFolder();
        Assert.That(() => GgufFile.Open(folder["none.gguf"]), Throws.InstanceOf<IOException>());
        Assert.That(() => GgufFile.Open(folder.Path), Throws.InstanceOf<UnauthorizedAccessException>());
    }

    [Test]
    public void TensorsBeyondTwoAndFilesBeyondFourGiBAreRead()
    {
        const int columns = 4096;
        const long rows = 700_000;
        const long rowBytes = columns / 32 * 34;
        const long bigBytes = rows * rowBytes;
        byte[] header = BigHeader(columns, rows, bigBytes);
        using var folder = new TemporaryFolder();
        string path = SparseFile.Create(folder, header.Length + (2 * bigBytes) + 32, header);
        byte[] mark = Enumerable.Range(1, (int)rowBytes).Select(i => (byte)i).ToArray();
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.Position = header.Length + bigBytes - rowBytes;
            stream.Write(mark);
            stream.Position = header.Length + (2 * bigBytes) - rowBytes;
            stream.Write(mark.Reverse().ToArray());
            stream.Write(BitConverter.GetBytes(1.5f));
        }

        using GgufFile file = GgufFile.Open(path);
        QuantizedTensor first = file.GetTensor("first");
        QuantizedTensor second = file.GetTensor("second");
        Assert.That(first.ByteCount, Is.GreaterThan(1L << 31));
        Assert.That(file.Length, Is.GreaterThan(1L << 32));
        Assert.That(first.UnsafeGetRowBytes(rows - 1).SequenceEqual(mark));
        Assert.That(second.UnsafeGetRowBytes(rows - 1).SequenceEqual(mark.Reverse().ToArray()));
        Assert.That(second.UnsafeGetRowBytes(0).IndexOfAnyExcept((byte)0), Is.Negative);
        Assert.That(file.Tensors[1].UnsafeGetBytes(bigBytes - rowBytes, 4).SequenceEqual(mark.Reverse().Take(4).ToArray()));
        Assert.That(() => file.Tensors[1].UnsafeGetBytes(), Throws.TypeOf<ModelFormatException>().With.Message.Contains($"{bigBytes}"));
        var value = new float[1];
        file.GetTensor("last").DecodeRow(0, value);
        Assert.That(value[0], Is.EqualTo(1.5f));
    }

    /// <summary>Two Q8_0 matrices and a float, without their data.</summary>
    private static byte[] BigHeader(int columns, long rows, long bytes)
    {
        var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write(3L);
        writer.Write(0L);
        long offset = 0;
        foreach (string name in new[] { "first", "second" })
        {
            writer.Write(GgufBytes.Text(name));
            writer.Write(2);
            writer.Write((long)columns);
            writer.Write(rows);
            writer.Write((uint)QuantFormat.Q8_0);
            writer.Write(offset);
            offset += bytes;
        }

        writer.Write(GgufBytes.Text("last"));
        writer.Write(1);
        writer.Write(1L);
        writer.Write((uint)QuantFormat.F32);
        writer.Write(offset);
        stream.SetLength((stream.Length + 31) / 32 * 32);
        return stream.ToArray();
    }
}
