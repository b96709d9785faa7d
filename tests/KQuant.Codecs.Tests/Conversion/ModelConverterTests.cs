using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Conversion;

/// <summary><see cref="ModelConverter"/> as a library caller sees it; what it writes is tested with the command line.</summary>
public class ModelConverterTests
{
    private static readonly QuantCodec Q4 = QuantCodec.Get(QuantFormat.Q4_0);

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void ReportsProgressOnTheCallingThread()
    {
        using ModelSource model = ModelSource.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        int thread = Environment.CurrentManagedThreadId;
        var seen = new List<ModelProgress>();
        var progress = new Recorder(value =>
        {
            Assert.That(Environment.CurrentManagedThreadId, Is.EqualTo(thread));
            seen.Add(value);
        });
        ConversionReport report = ModelConverter.Convert(QuantizationPlan.Uniform(model, Q4), _folder["out"], new ConversionOptions { MaxDegreeOfParallelism = 3 }, progress);
        Assert.Multiple(() =>
        {
            Assert.That(seen.Select(value => value.BytesDone), Is.Ordered);
            Assert.That(seen[^1].BytesDone, Is.EqualTo(seen[^1].TotalBytes));
            Assert.That(seen[^1].TotalBytes, Is.EqualTo(report.Bytes + report.Tensors.Count(tensor => tensor.Planned.Codec is not null)));
            Assert.That(report.Tensors.Where(tensor => tensor.Planned.Codec is not null).Select(tensor => tensor.Error), Has.None.Null);
            Assert.That(report.Tensors.Where(tensor => tensor.Planned.Codec is null).Select(tensor => tensor.Error), Is.All.Null);
            Assert.That(report.Summarize().Sum(format => format.TensorCount), Is.EqualTo(model.Tensors.Count));
        });
    }

    [Test]
    public void MeasuresOnlyWhenAskedTo()
    {
        using ModelSource model = ModelSource.Open(RepositoryFiles.Fixture("models", "tiny-dense"));
        ConversionReport report = ModelConverter.Convert(QuantizationPlan.Uniform(model, Q4), _folder["out"], new ConversionOptions { MeasureError = false });
        Assert.That(report.Tensors.Select(tensor => tensor.Error), Is.All.Null);
    }

    [Test]
    public void ACancelledConversionLeavesNothing()
    {
        using ModelSource model = ModelSource.Open(RepositoryFiles.Fixture("models", "tiny-dense"));
        using var source = new CancellationTokenSource();
        Assert.That(
            () => ModelConverter.Convert(
                QuantizationPlan.Uniform(model, Q4),
                _folder["out"],
                progress: new Recorder(_ => source.Cancel()),
                cancellationToken: source.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void AnExistingOutputIsRefused()
    {
        using ModelSource model = ModelSource.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        _folder.Write("out/file", "text");
        Assert.That(
            () => ModelConverter.Convert(QuantizationPlan.Uniform(model, Q4), _folder["out"]),
            Throws.InstanceOf<IOException>().With.Message.Contains("exists and is not empty"));
        Assert.That(_folder.Files(), Is.EqualTo(["out/file"]));
    }

    [Test]
    public void OnlyModelsAreConverted()
    {
        NpyFile.Write(_folder["a.npy"], [1, 32], new float[32]);
        using ModelSource array = ModelSource.Open(_folder["a.npy"]);
        Assert.That(
            () => ModelConverter.Convert(QuantizationPlan.Uniform(array, Q4), _folder["out"]),
            Throws.InstanceOf<NotSupportedException>().With.Message.Contains("only checkpoint folders and GGUF files"));
    }

    [Test]
    public void ASourceOfSomebodyElseIsConvertedAndVerified()
    {
        using var source = new Waves();
        var plan = QuantizationPlan.Create(source, (_, _) => Q4);
        ConversionReport report = ModelConverter.Convert(plan, _folder["waves.gguf"], new ConversionOptions { MeasureError = true });
        Assert.That(report.Summarize().Single().Error!.Value.Nmse, Is.InRange(1e-4, 1e-2));
        using ModelSource made = ModelSource.Open(_folder["waves.gguf"]);
        Assert.That(made.Architecture, Is.EqualTo("waves"));
        Assert.That(made.Tensors.Single().Codec, Is.SameAs(Q4));
        VerificationReport check = ModelVerifier.Verify(made, source);
        Assert.That((check.Passed, check.Tensors.Count), Is.EqualTo((true, 1)), string.Join(' ', check.Problems));
    }

    [Test]
    public void AGgufReadsLikeAnyModel()
    {
        float[] weights = [.. Enumerable.Range(0, 2 * 3 * 32).Select(i => i / 7f)];
        var writer = new GgufWriter();
        writer.Metadata.Set("general.architecture", "test");
        writer.Add("stack", [32, 3, 2], GgmlType.Of(QuantFormat.F32), MemoryMarshal.AsBytes<float>(weights).ToArray());
        writer.Add("scalar", [], GgmlType.Of(QuantFormat.F32), BitConverter.GetBytes(5f));
        writer.Add("empty", [32, 0], GgmlType.Of(QuantFormat.F32), ReadOnlyMemory<byte>.Empty);
        writer.Write(_folder["model.gguf"]);
        using ModelSource model = ModelSource.Open(_folder["model.gguf"]);
        Assert.That(model.TryGetTensor("stack", out ModelTensor? stack));
        float[] rows = new float[2 * 32], scalar = new float[1];
        stack!.ReadRows(2, rows);
        model.Tensors[1].ReadRows(0, scalar);
        model.Tensors[2].ReadRows(0, []);
        var bytes = new byte[8];
        stack.ReadBytes(4, bytes);
        Assert.Multiple(() =>
        {
            Assert.That(model.Architecture, Is.EqualTo("test"));
            Assert.That(stack.Shape, Is.EqualTo([2, 3, 32]));
            Assert.That(rows, Is.EqualTo(weights[64..128]));
            Assert.That(scalar, Is.EqualTo([5f]));
            Assert.That(bytes, Is.EqualTo(MemoryMarshal.AsBytes<float>(weights.AsSpan(1, 2)).ToArray()));
            Assert.That(() => stack.ReadRows(5, rows), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("2 rows from row 5"));
            Assert.That(() => stack.ReadRows(0, new float[33]), Throws.ArgumentException.With.Message.Contains("33 values"));
            Assert.That(() => stack.ReadBytes(2 * 3 * 32 * 4, bytes), Throws.InstanceOf<ArgumentOutOfRangeException>());
        });
        model.Dispose();
        Assert.That(() => stack.ReadRows(0, rows), Throws.InstanceOf<ObjectDisposedException>());
    }

    /// <summary>A model without a file.</summary>
    private sealed class Waves : GgufSource
    {
        public Waves() => Metadata.Set("general.architecture", "waves");

        public override string Path => "waves";

        public override string? Architecture => "waves";

        public override GgufMetadata Metadata { get; } = new();

        public override IReadOnlyList<ModelTensor> Tensors { get; } = [new Wave()];

        public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) =>
            (tensor = Tensors.FirstOrDefault(candidate => candidate.Name == name)) is not null;

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class Wave : ModelTensor
    {
        private const int Columns = 64;

        public override string Name => "blk.0.ffn_up.weight";

        public override ImmutableArray<long> Shape => [48, Columns];

        public override QuantCodec? Codec => QuantCodec.Get(QuantFormat.F32);

        public override string FormatName => "f32";

        public override long ByteCount => 48 * Columns * sizeof(float);

        public override void ReadBytes(long offset, Span<byte> destination)
        {
            float[] all = new float[48 * Columns];
            ReadRows(0, all);
            MemoryMarshal.AsBytes<float>(all).Slice((int)offset, destination.Length).CopyTo(destination);
        }

        public override void ReadRows(long firstRow, Span<float> destination)
        {
            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = MathF.Sin((firstRow * Columns) + i);
            }
        }

        public override QuantizedTensor Load() => throw new NotSupportedException();
    }

    private sealed class Recorder(Action<ModelProgress> report) : IProgress<ModelProgress>
    {
        public void Report(ModelProgress value) => report(value);
    }
}
