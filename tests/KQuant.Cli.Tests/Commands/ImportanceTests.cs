using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant quantize --imatrix</c>.</summary>
public class ImportanceTests
{
    private const string Down = "model.layers.0.mlp.switch_mlp.down_proj.weight";
    private const int Experts = 8, Columns = 256;

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("blk.0.ffn_down_exps.weight", ImportanceFormat.Gguf)]
    [TestCase(Down, ImportanceFormat.Gguf)]
    [TestCase("model.layers.0.mlp.switch_mlp.down_proj", ImportanceFormat.LegacyMeans)]
    public void SteersEachExpertByItsOwnSlice(string entryName, ImportanceFormat format)
    {
        float[] importance = [.. Enumerable.Range(0, Experts * Columns).Select(i => 0.01f + (i * 7919 % 1000 / 100f))];
        string path = WriteMatrix(format, (entryName, importance, format == ImportanceFormat.Gguf ? Experts : 1));
        JsonElement report = Quantize(path, "--json").MustSucceed().Json.GetProperty("importance");

        FixtureModel source = FixtureModel.Load("tiny-moe");
        QuantCodec codec = QuantCodec.Get(QuantFormat.Q4_K);
        using SafetensorsFile written = SafetensorsFile.Open(_folder["out"]);
        Assert.That(written.TryGet(Down, out SafetensorsTensor? tensor));
        for (int expert = 0; expert < Experts; expert++)
        {
            float[] weights = source.Weights($"model.layers.0.mlp.experts.{expert}.down_proj.weight");
            var bytes = new byte[codec.GetByteCount(weights.Length)];
            codec.Encode(weights, bytes, new EncodeOptions { RowLength = Columns, Importance = importance.AsSpan(expert * Columns, Columns) });
            Assert.That(tensor!.UnsafeGetBytes((long)expert * bytes.Length, bytes.Length).SequenceEqual(bytes), $"expert {expert}");
        }

        Assert.Multiple(() =>
        {
            Assert.That(report.Int("weights"), Is.EqualTo(22));
            Assert.That(report.Int("covered_weights"), Is.EqualTo(1));
            Assert.That(report.Items("missing").Length, Is.EqualTo(21));
            Assert.That(report.Int("unused_entries"), Is.Zero);
        });
    }

    [Test]
    public void SaysWhatIsCovered()
    {
        string path = WriteMatrix(
            ImportanceFormat.Gguf, ("blk.0.ffn_down_exps.weight", Ones(Experts * Columns), Experts), ("blk.77.attn_q.weight", Ones(Columns), 1));
        Assert.That(
            Quantize(path, "--ignore-mismatch").MustSucceed().Output,
            Does.Match(@"Importance for 1 of 22 weights, none for .*model\.embed_tokens\.weight.* and 18 more; 1 entries are not used, blk\.77\.attn_q\.weight\."));
    }

    [Test]
    public void AnotherModelsMatrixIsAnError()
    {
        Quantize(WriteMatrix(ImportanceFormat.Gguf, ("blk.0.ffn_down_exps.weight", Ones(300), 1)))
            .MustFail("there are 300 values for a weight of shape [8, 256, 256], which takes 256 or 2048; the file belongs to another model");
        Quantize(WriteMatrix(ImportanceFormat.Gguf, ("bert.encoder.weight", Ones(256), 1))).MustFail("none of the 1 entries (the first is 'bert.encoder.weight')");
        Assert.That(Directory.Exists(_folder["out"]), Is.False);
    }

    [Test]
    public void AMissingMatrixIsAnErrorBeforeAnythingElse() =>
        Cli.Quantize(_folder["nothing"], "q4_k", _folder["out"], "--imatrix", _folder["no.gguf"])
            .MustFail("no.gguf: there is no such importance matrix");

    [Test]
    public void AGgufNotesWhatItWasSteeredBy()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"]);
        string path = WriteMatrix(ImportanceFormat.Gguf, ("blk.0.attn_q.weight", Ones(256), 1));
        Cli.Quantize(model, "q4_k", _folder["out.gguf"], "--imatrix", path).MustSucceed();
        using GgufFile file = GgufFile.Open(_folder["out.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(file.Metadata.Get<string>("quantize.imatrix.file"), Is.EqualTo("imatrix"));
            Assert.That(file.Metadata.Get<string>("quantize.imatrix.dataset"), Is.EqualTo("words.txt"));
            Assert.That(file.Metadata.Get<uint>("quantize.imatrix.entries_count"), Is.EqualTo(1));
            Assert.That(file.Metadata.Get<uint>("quantize.imatrix.chunks_count"), Is.EqualTo(12));
        });
    }

    private static float[] Ones(int count)
    {
        var ones = new float[count];
        ones.AsSpan().Fill(1);
        return ones;
    }

    private CliResult Quantize(string imatrix, params string[] more) => Cli.Run(
        ["quantize", "--model", TestModels.TinyMoe, "--kquant-type", "q4_k", "--output", _folder["out"], "--imatrix", imatrix, .. more]);

    [Test]
    public void ImportanceOfZeroIsNoted()
    {
        float[] some = Ones(256);
        some.AsSpan(0, 32).Clear();
        float[] astride = Ones(256);
        astride.AsSpan(20, 40).Clear();
        CliResult result = Quantize(WriteMatrix(
            ImportanceFormat.Legacy,
            ("blk.0.attn_q.weight", new float[256], 1),
            ("blk.1.attn_q.weight", some, 1),
            ("blk.1.attn_k.weight", astride, 1))).MustSucceed();
        Assert.That(result.Output, Does.Contain("model.layers.0.self_attn.q_proj.weight: the importance is 0 everywhere"));
        Assert.That(result.Output, Does.Contain(
            "model.layers.1.self_attn.q_proj.weight: the importance is 0 in 1 of 8 runs of 32 columns, each of which has a scale"));
        Assert.That(result.Output, Does.Not.Contain("model.layers.1.self_attn.k_proj.weight: the importance"), "other columns of each run count");
    }

    [TestCase("q6_k", 16, 16)]
    [TestCase("q3_k", 16, 16)]
    [TestCase("q8_0", 32, 8)]
    [TestCase("iq4_nl", 32, 8)]
    public void ARunThatHasAScaleOfItsOwnIsEnoughForANote(string codec, int run, int runs)
    {
        float[] some = Ones(256);
        some.AsSpan(256 - run).Clear();
        string matrix = WriteMatrix(ImportanceFormat.Legacy, ("blk.0.attn_v.weight", some, 1));
        CliResult result = Cli.Quantize(TestModels.TinyMoe, codec, _folder["out"], "--imatrix", matrix).MustSucceed();
        Assert.That(result.Output, Does.Contain(
            $"model.layers.0.self_attn.v_proj.weight: the importance is 0 in 1 of {runs} runs of {run} columns, each of which has a scale"));
    }

    [Test]
    public void HugeImportanceIsToBlameAndNotTheWeights() =>
        Quantize(WriteMatrix(ImportanceFormat.Legacy, ("blk.0.attn_q.weight", [.. Enumerable.Repeat(3e38f, 256)], 1)))
            .MustFail("model.layers.0.self_attn.q_proj.weight: q4_k: row 0: the importance of column 0 is 3E+38, and sums of it with weights overflow");

    /// <summary>With counts of 1, so that sums are the importance.</summary>
    private string WriteMatrix(ImportanceFormat format, params (string Name, float[] Importance, int Experts)[] entries)
    {
        using var matrix = new ImportanceMatrix { Datasets = ["words.txt"], ChunkCount = 12, ChunkSize = 512 };
        foreach ((string name, float[] importance, int experts) in entries)
        {
            var counts = new long[experts];
            counts.AsSpan().Fill(1);
            matrix.Add(new ImportanceEntry(name, importance, counts));
        }

        string path = _folder["imatrix"];
        matrix.Write(path, format);
        return path;
    }
}
