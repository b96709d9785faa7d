using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant imatrix</c>, and a size to hit.</summary>
public class ImatrixCommandTests
{
    private TemporaryFolder _folder = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        string sentence = "\"I have not the pleasure of understanding you,\" said he, when she had finished her speech. ";
        File.WriteAllText(_folder["text"], string.Concat(Enumerable.Repeat(sentence, 40)));
        Calibrate("tiny-moe", "moe.gguf").MustSucceed();
        Calibrate("tiny-dense", "dense.gguf", "--losses", "64").MustSucceed();
    }

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void CalibrationSaysWhatExpertsSaw()
    {
        CliResult result = Calibrate("tiny-moe", "again.gguf", "--chunks", "2", "--coverage-floor", "50", "--prior-weight", "1").MustSucceed();
        Assert.That(result.Output, Does.Match(@"blk\.0\.ffn_down_exps\.weight +\d+ +\d+ +\d+ +0").And.Contain("2 chunks of 64 tokens"));
        Assert.That(File.ReadAllBytes(_folder["again.gguf"]), Is.Not.EqualTo(File.ReadAllBytes(_folder["moe.gguf"])));
    }

    [Test]
    public void ACheckpointIsGoneOnFrom()
    {
        Calibrate("tiny-dense", "one.gguf", "--chunks", "1", "--checkpoint", _folder["state"]).MustSucceed();
        Assert.That(File.Exists(_folder["state"]));
        Calibrate("tiny-dense", "two.gguf", "--checkpoint", _folder["state"]).MustSucceed();
        Calibrate("tiny-dense", "three.gguf").MustSucceed();
        Assert.That(File.ReadAllBytes(_folder["two.gguf"]), Is.EqualTo(File.ReadAllBytes(_folder["three.gguf"])));
        Calibrate("tiny-moe", "four.gguf", "--checkpoint", _folder["state"]).MustFail("the calibration is another one");
        Calibrate("tiny-dense", "five.gguf", "--checkpoint", _folder["moe.gguf"]).MustFail("this is no saved calibration");
    }

    [Test]
    public void FormsConvertAndPartsMerge()
    {
        Cli.Run("imatrix", "convert", _folder["moe.gguf"], "-o", _folder["moe.dat"]).MustSucceed();
        Cli.Run("imatrix", "convert", _folder["moe.dat"], "-o", _folder["back.gguf"]).MustSucceed();
        using ImportanceMatrix first = ImportanceMatrix.Open(_folder["moe.gguf"]), back = ImportanceMatrix.Open(_folder["back.gguf"]);
        Assert.That(back.Entries.Select(entry => entry.Name), Is.EqualTo(first.Entries.Select(entry => entry.Name)));
        Assert.That(back.Entries[3].GetImportance(), Is.EqualTo(first.Entries[3].GetImportance()).Within(1e-4).Percent);

        Cli.Run("imatrix", "merge", _folder["moe.gguf"], _folder["moe.gguf"], "-o", _folder["both.gguf"]).MustSucceed();
        using ImportanceMatrix both = ImportanceMatrix.Open(_folder["both.gguf"]);
        Assert.That(both.ChunkCount, Is.EqualTo(2 * first.ChunkCount));
        Assert.That(both.Entries[3].GetImportance(), Is.EqualTo(first.Entries[3].GetImportance()).Within(1e-4).Percent);
        using var other = new ImportanceMatrix();
        other.Add(new ImportanceEntry("blk.0.attn_q.weight", new float[64], [1]));
        other.Write(_folder["other.gguf"], ImportanceFormat.Gguf);
        Cli.Run("imatrix", "merge", _folder["moe.gguf"], _folder["other.gguf"], "-o", _folder["no.gguf"]).MustFail("they are of different models");
        Cli.Run("imatrix", "merge", _folder["moe.gguf"], _folder["moe.dat"], "-o", _folder["no.gguf"]).MustFail("count different things");
        Cli.Run("imatrix", "convert", _folder["moe.gguf"], "-o", _folder["moe.gguf"], "--overwrite").MustFail("the output must be another file");
        Cli.Run("imatrix", "convert", _folder["none.gguf"], "-o", _folder["no.gguf"]).MustFail("there is no such importance matrix");
        Assert.That(File.Exists(_folder["no.gguf"]), Is.False);
    }

    [Test]
    public void StatisticsAreATableAndJson()
    {
        JsonElement report = Cli.Run("imatrix", "stats", _folder["dense.gguf"], "--json").MustSucceed().Json;
        JsonElement tensor = report.Item("tensors", "name", "blk.3.attn_q.weight");
        using ImportanceMatrix matrix = ImportanceMatrix.Open(_folder["dense.gguf"]);
        Assert.That(matrix.TryGet("blk.3.attn_q.weight", out ImportanceEntry? entry));
        float[] squares = entry!.GetImportance(), means = entry.GetInputMeans();
        Assert.Multiple(() =>
        {
            Assert.That(tensor.Number("sum_of_squares"), Is.EqualTo(squares.Sum(value => (double)value)).Within(1e-4).Percent);
            Assert.That(tensor.Number("mean"), Is.EqualTo(means.Average()).Within(1e-6));
            Assert.That(tensor.Number("entropy"), Is.InRange(0.1, 1));
            Assert.That(tensor.Number("cosine"), Is.InRange(-1, 1));
            Assert.That(report.Items("layers"), Has.Length.EqualTo(5));
        });
        Assert.That(Cli.Run("imatrix", "stats", _folder["dense.gguf"]).MustSucceed().Output, Does.Contain("blk.3.attn_q.weight").And.Contain("Pearson"));
    }

    [Test]
    public void ATextThatIsTooShortIsAnError()
    {
        File.WriteAllText(_folder["short"], "Hello");
        Cli.Run("imatrix", "calibrate", TestModels.TinyDense, "--corpus", _folder["short"], "-o", _folder["short.gguf"], "--ctx", "64")
            .MustFail("The text has 3 tokens, less than a chunk of 64.");
        Assert.That(File.Exists(_folder["short.gguf"]), Is.False);
    }

    [Test]
    public void AMatrixOfAnotherModelIsAnErrorAlsoWhereWidthsAreTheSame()
    {
        string[] quantize = ["quantize", TestModels.TinyDense, "--preset", "q4_k_m", "--imatrix", _folder["moe.gguf"], "--output", _folder["foreign.gguf"]];
        Cli.Run(quantize).MustFail("tensor 'blk.0.ffn_down_exps.weight': no tensor of the model has this name, and 'blk.0.ffn_down.weight' has no entry");
        Assert.That(File.Exists(_folder["foreign.gguf"]), Is.False);
        Assert.That(Cli.Run([.. quantize, "--ignore-mismatch"]).MustSucceed().Output, Does.Contain("none for").And.Contain("are not used"));
        Cli.Run("quantize", TestModels.TinyMoe, "--preset", "q4_k_m", "--imatrix", _folder["dense.gguf"], "--output", _folder["foreign"]).MustFail("another model");
    }

    [TestCase("out.gguf")]
    [TestCase("out")]
    public void ATargetIsHitAndNeverExceeded(string name)
    {
        const int Target = 3_000_000;
        string output = _folder[name];
        CliResult result = Cli.Run(
            "quantize", TestModels.TinyDense, "--target-size", "3MB", "--imatrix", _folder["dense.gguf"], "--output", output,
            "--override", name.EndsWith(".gguf", StringComparison.Ordinal) ? "attn_v=q8_0" : "v_proj=q8_0").MustSucceed();
        Assert.That(result.Output, Does.Contain("predicted loss").And.Match(@"(?m)^q8_0 +6 "));
        long length = File.Exists(output) ? new FileInfo(output).Length : Directory.GetFiles(output, "*.safetensors").Sum(file => new FileInfo(file).Length);
        Assert.That(length, Is.InRange(Target * 0.97, Target));
    }

    [Test]
    public void ATargetThatIsTooSmallSaysTheSmallest() => Cli.Run(
        "quantize", TestModels.TinyDense, "--target-bpw", "1", "--output", _folder["tiny.gguf"]).MustFail("cannot be met: the smallest choice takes ");

    [TestCase("--target-size 3XB", "--target-size is a number of bytes such as 4.2GB")]
    [TestCase("--target-bpw 0", "--target-bpw is a number above 0")]
    [TestCase("--target-bpw 4 --target-size 3MB", "say both how large")]
    [TestCase("--target-bpw 33", "--target-bpw is a number above 0 and up to 32")]
    [TestCase("--target-size -1", "--target-size is a number of bytes")]
    [TestCase("--target-bpw 4 --preset q4_k_m", "A target size chooses all codecs")]
    public void WhatIsWrongIsOneSentence(string options, string message) =>
        Cli.Run(["quantize", TestModels.TinyDense, "--output", _folder["no.gguf"], .. options.Split(' ')]).MustFail(message, exitCode: 2);

    private CliResult Calibrate(string model, string output, params string[] more) => Cli.Run(
        ["calibrate-imatrix", RepositoryFiles.Fixture("models", model), "--corpus", _folder["text"], "--output", _folder[output], "--ctx", "64", .. more]);
}
