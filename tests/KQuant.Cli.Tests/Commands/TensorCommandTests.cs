using System.Runtime.InteropServices;
using System.Text.Json;
using KQuant.Cli.Commands;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant tensor encode</c>, <c>decode</c> and <c>diff</c>.</summary>
public class TensorCommandTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void EncodesTheBytesOfTheReference(
        [ValueSource(typeof(TestCodecs), nameof(TestCodecs.Blocks))] QuantCodec codec, [Values] bool weighted)
    {
        string fixture = FixturePath(codec), output = _folder["out.gguf"];
        string[] importance = weighted ? ["--imatrix", fixture + ":imatrix"] : [];
        Cli.Run(["tensor", "encode", fixture + ":x", "--codec", codec.Name, "-o", output, "--on-overflow", "keep", .. importance]).MustSucceed();

        CodecFixture expected = CodecFixture.Load(codec, weighted);
        using GgufFile file = GgufFile.Open(output);
        Assert.That(file.Tensors.Single().Name, Is.EqualTo("x"));
        ReadOnlySpan<byte> bytes = file.Tensors.Single().UnsafeGetBytes();
        int compared = 0;
        for (int row = 0; row < expected.Rows.Count; row++)
        {
            if (!expected.Rows[row].Notes.HasFlag(RowNotes.UndefinedInC))
            {
                Assert.That(
                    bytes.Slice(row * expected.RowByteCount, expected.RowByteCount).SequenceEqual(expected.Rows[row].Wire),
                    $"row {row}, {expected.Rows[row].Kind}");
                compared++;
            }
        }

        Assert.That(compared, Is.GreaterThan(expected.Rows.Count * 4 / 5));
    }

    [TestCaseSource(typeof(TestCodecs), nameof(TestCodecs.Blocks))]
    public void DecodesTheFloatsOfTheReference(QuantCodec codec)
    {
        string fixture = FixturePath(codec);
        foreach (string extension in (string[])["npy", "safetensors", "gguf"])
        {
            Cli.Run("tensor", "decode", fixture + ":w", "-o", _folder["out." + extension]).MustSucceed();
            JsonElement difference = Cli.Run("tensor", "diff", fixture + ":deq", _folder["out." + extension], "--json").MustSucceed().Json;
            Assert.Multiple(() =>
            {
                Assert.That(difference.Int("differing_weights"), Is.Zero, extension);
                Assert.That(difference.Number("max_abs"), Is.Zero, extension);
                Assert.That(difference.Number("nmse"), Is.Zero, extension);
                Assert.That(difference.Number("cosine"), Is.EqualTo(1), extension);
                Assert.That(difference.Text("format_b"), Is.EqualTo("f32"), extension);
            });
        }
    }

    [Test]
    public void AScaleBeyondBinary16IsAnErrorUnlessKept() => Cli.Run(
            "tensor", "encode", FixturePath(QuantCodec.Get(QuantFormat.Q4_K)) + ":x", "--codec", "q4_k", "-o", _folder["out.gguf"])
        .MustFail("x: q4_k: row ");

    [Test]
    public void DiffTellsEqualBytesFromEqualWeights()
    {
        string fixture = FixturePath(QuantCodec.Get(QuantFormat.Q8_0));
        JsonElement same = Cli.Run("tensor", "diff", fixture + ":w", fixture + ":w", "--json").MustSucceed().Json;
        JsonElement decoded = Cli.Run("tensor", "diff", fixture + ":deq", fixture + ":w", "--json").MustSucceed().Json;
        JsonElement other = Cli.Run("tensor", "diff", fixture + ":x", fixture + ":w", "--json").MustSucceed().Json;
        Assert.Multiple(() =>
        {
            Assert.That(same.Flag("equal_bytes"));
            Assert.That(decoded.Flag("equal_bytes"), Is.False);
            Assert.That(decoded.Int("differing_weights"), Is.Zero);
            Assert.That(other.Int("differing_weights"), Is.Positive);
            Assert.That(other.GetProperty("nmse").ValueKind, Is.EqualTo(JsonValueKind.Number).Or.EqualTo(JsonValueKind.Null));
        });
        Assert.That(Cli.Run("tensor", "diff", fixture + ":w", fixture + ":w").MustSucceed().Output, Does.Match(@"(?m)^equal bytes +yes$"));
        Cli.Run("tensor", "diff", fixture + ":w", fixture + ":imatrix").MustFail("only tensors of one shape are compared");
    }

    [Test]
    public void DiffMeasures()
    {
        NpyFile.Write(_folder["a.npy"], [2, 2], new float[] { 1, 2, 3, 4 });
        NpyFile.Write(_folder["b.npy"], [2, 2], new float[] { 1, 2, 3, 2 });
        JsonElement difference = Cli.Run("tensor", "diff", _folder["a.npy"], _folder["b.npy"], "--json").MustSucceed().Json;
        Assert.Multiple(() =>
        {
            Assert.That(difference.Int("differing_weights"), Is.EqualTo(1));
            Assert.That(difference.Number("max_abs"), Is.EqualTo(2));
            Assert.That(difference.Number("rmse"), Is.EqualTo(1));
            Assert.That(difference.Number("nmse"), Is.EqualTo(4.0 / 30).Within(1e-15));
            Assert.That(difference.Number("cosine"), Is.EqualTo(22 / Math.Sqrt(30.0 * 18)).Within(1e-15));
        });
    }

    [Test]
    public void ImportanceIsOneRowForAllOrOnePerExpert()
    {
        const int Experts = 3, Rows = 4, Columns = 256;
        float[] weights = TestModels.Weights(1, Experts * Rows * Columns);
        float[] importance = [.. Enumerable.Range(0, Experts * Columns).Select(i => 0.01f + (i * 7919 % 1000 / 100f))];
        NpyFile.Write(_folder["stack.npy"], [Experts, Rows, Columns], weights);
        NpyFile.Write(_folder["each.npy"], [Experts, Columns], importance);
        NpyFile.Write(_folder["all.npy"], [Columns], importance.AsMemory(0, Columns));
        NpyFile.Write(_folder["wrong.npy"], [2, Columns], importance.AsMemory(0, 2 * Columns));

        Encode("each.npy").MustSucceed();
        AssertBytes(expert => importance.AsSpan(expert * Columns, Columns));
        Encode("all.npy").MustSucceed();
        AssertBytes(_ => importance.AsSpan(0, Columns));
        Encode("wrong.npy").MustFail("the importance is 512 long; a [3, 4, 256] tensor takes 256 values (one per column) or 3 times as many");

        using (var matrix = new ImportanceMatrix())
        {
            matrix.Add(new ImportanceEntry("stack", importance, [1, 1, 1]));
            matrix.Write(_folder["matrix.gguf"], ImportanceFormat.Gguf);
        }

        Encode("matrix.gguf").MustSucceed();
        AssertBytes(expert => importance.AsSpan(expert * Columns, Columns));
        Encode("matrix.gguf:other").MustFail("matrix.gguf has no entry 'other'");

        CliResult Encode(string file) => Cli.Run(
            "tensor", "encode", _folder["stack.npy"], "--codec", "q2_k", "-o", _folder["out.gguf"], "--imatrix", _folder[file]);

        void AssertBytes(Func<int, ReadOnlySpan<float>> importanceOf)
        {
            QuantCodec codec = QuantCodec.Get(QuantFormat.Q2_K);
            using GgufFile file = GgufFile.Open(_folder["out.gguf"]);
            GgufTensor tensor = file.Tensors.Single();
            Assert.That(tensor.Dimensions, Is.EqualTo([Columns, Rows, Experts]));
            var bytes = new byte[codec.GetByteCount(Rows * Columns)];
            for (int expert = 0; expert < Experts; expert++)
            {
                var options = new EncodeOptions { RowLength = Columns, Importance = importanceOf(expert) };
                codec.Encode(weights.AsSpan(expert * Rows * Columns, Rows * Columns), bytes, options);
                Assert.That(tensor.UnsafeGetBytes(expert * bytes.Length, bytes.Length).SequenceEqual(bytes), $"expert {expert}");
            }
        }
    }

    [Test]
    public void BestModeHasTheSmallerError()
    {
        string tensor = Path.Combine(TestModels.TinyDense, "model.safetensors") + ":model.layers.0.mlp.up_proj.weight";
        double[] errors =
        [
            .. ((string[])["reference", "best"]).Select(mode =>
                Cli.Run("tensor", "encode", tensor, "--codec", "q3_k", "-o", _folder["out.gguf"], "--encode", mode, "--json")
                    .MustSucceed().Json.GetProperty("error").Number("rmse")),
        ];
        Assert.That(errors[1], Is.LessThan(errors[0]));
    }

    [Test]
    public void ReadsTensorsOfModelFolders()
    {
        Cli.Quantize(TestModels.TinyMoe, "q5_1", _folder["q"]).MustSucceed();
        Cli.Run("tensor", "diff", TestModels.TinyMoe + ":model.norm.weight", _folder["q"] + ":model.norm.weight", "--json").MustSucceed();
        Cli.Run("tensor", "decode", _folder["q"] + ":model.layers.0.mlp.switch_mlp.up_proj.weight", "-o", _folder["up.npy"]).MustSucceed();
        using NpyFile decoded = NpyFile.Open(_folder["up.npy"]);
        Assert.That(decoded.Shape, Is.EqualTo([8, 256, 256]));
    }

    [Test]
    public void AWrongNameIsAnErrorWithTheRightOnes()
    {
        string fixture = FixturePath(QuantCodec.Get(QuantFormat.Q8_0));
        Decode(fixture).MustFail("has 6 tensors; name one as ");
        Decode(fixture + ":y").MustFail("has no tensor 'y'; it has x, w, deq, imatrix, w_im, deq_im.");
        Decode(_folder["no.gguf"]).MustFail("no.gguf: there is no such file.");
        Decode(_folder["no.gguf"] + ":x").MustFail("no.gguf: there is no such file.");
        Decode(@"C:\models\no.gguf").MustFail(@"C:\models\no.gguf: there is no such file.");
        Decode(_folder.Write("bad.npy", "no array")).MustFail("bad.npy: ");
        Decode(_folder.Write("what.txt", "text")).MustFail("this is neither a GGUF file nor .safetensors nor .npy nor a checkpoint folder");
        Cli.Run("tensor", "encode", fixture + ":imatrix", "--codec", "q4_k", "-o", _folder["no/where.gguf"]).MustFail("no");
        NpyFile.Write(_folder["odd.npy"], [2, 40], new float[80]);
        Cli.Run("tensor", "encode", _folder["odd.npy"], "--codec", "q4_0", "-o", _folder["out.gguf"])
            .MustFail("odd has rows of 40 weights, which are no whole q4_0 blocks of 32.");

        CliResult Decode(string reference) => Cli.Run("tensor", "decode", reference, "-o", _folder["out.npy"]);
    }

    [Test]
    public void AColonBelongsToThePathWhenThatExists()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("File names of Windows have no colon.");
        }

        NpyFile.Write(_folder["a:b.npy"], [1], new float[] { 3 });
        NpyFile.Write(_folder["a"], [1], new float[] { 3 });
        string path = _folder["a:b.npy"];
        Assert.Multiple(() =>
        {
            Assert.That(TensorFile.Split(path), Is.EqualTo((path, (string?)null)));
            Assert.That(TensorFile.Split(path + ":c:d"), Is.EqualTo((path, "c:d")));
            Assert.That(TensorFile.Split(_folder["a"] + ":b"), Is.EqualTo((_folder["a"], "b")));
        });
    }

    [Test]
    public void IntegersAreComparedByTheirBytes()
    {
        NpyFile.Write(_folder["a.npy"], ElementType.I32, [3], stream => stream.Write(MemoryMarshal.AsBytes<int>([1, 2, 3])));
        NpyFile.Write(_folder["b.npy"], ElementType.I32, [3], stream => stream.Write(MemoryMarshal.AsBytes<int>([1, 2, 4])));
        JsonElement same = Cli.Run("tensor", "diff", _folder["a.npy"], _folder["a.npy"], "--json").MustSucceed().Json;
        JsonElement other = Cli.Run("tensor", "diff", _folder["a.npy"], _folder["b.npy"], "--json").MustSucceed().Json;
        Assert.Multiple(() =>
        {
            Assert.That(same.Flag("equal_bytes"));
            Assert.That(other.Flag("equal_bytes"), Is.False);
            Assert.That(other.IsNull("nmse"));
        });
        Cli.Run("tensor", "decode", _folder["a.npy"], "-o", _folder["c.npy"]).MustFail("is i32, which cannot be decoded here");
    }

    private static string FixturePath(QuantCodec codec) => FixtureTensors.PathOf(codec);
}
