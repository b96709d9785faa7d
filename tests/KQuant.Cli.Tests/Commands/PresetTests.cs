using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant quantize --preset</c> and what goes with it.</summary>
public class PresetTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void TheListHasAllPresetsAndNeedsNothingElse()
    {
        string list = Cli.Run("quantize", "--list-presets").MustSucceed().Output;
        foreach (QuantizationRecipe recipe in QuantizationRecipe.All)
        {
            Assert.That(list, Does.Match($@"(?m)^{recipe.Name.Replace(".", @"\.")} +{recipe.Codec.Name}$"));
        }

        Assert.That(list, Does.Contain("down=q6_k in the outer eighths and every third layer between"));
    }

    [Test]
    public void ACheckpointAndItsGgufGetTheSameCodecs([Values("q4_k_m", "llama.q4_k_m", "llama.q3_k_m", "q5_k_xl")] string preset, [Values("tiny-dense", "tiny-moe")] string model)
    {
        string source = RepositoryFiles.Fixture("models", model);
        JsonElement folder = Cli.Run("quantize", source, "--preset", preset, "--output", _folder["out"], "--dry-run", "--json").MustSucceed().Json;
        JsonElement gguf = Cli.Run("quantize", source, "--preset", preset, "--output", _folder["out.gguf"], "--dry-run", "--json").MustSucceed().Json;
        Assert.That(Codecs(folder), Is.EqualTo(Codecs(gguf)));
        Assert.That(folder.Items("tensors").Count(tensor => tensor.Text("format") == "q6_k"), preset == "llama.q3_k_m" ? Is.EqualTo(1) : Is.GreaterThan(1));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);

        // Both list the tensors of a checkpoint in its own order.
        static string[] Codecs(JsonElement report) =>
            [.. report.Items("tensors").Where(tensor => tensor.Items("shape").Length > 1).Select(tensor => $"{tensor.Text("role")} {tensor.Text("format")}").Where(text => !text.StartsWith("Router", StringComparison.Ordinal))];
    }

    [Test]
    public void ATableShowsRoleCodecBytesAndBits()
    {
        string plan = Cli.Run("quantize", TestModels.TinyDense, "--preset", "q4_k_m", "--output", _folder["out"], "--dry-run").MustSucceed().Output;
        Assert.That(plan, Does.Match(@"model\.layers\.0\.mlp\.down_proj\.weight +FeedForward +\[256, 768\] +bf16 +q4_k +q4_k as asked for +384 KiB +108 KiB +4\.50"));
        Assert.That(plan, Does.Match(@"model\.embed_tokens\.weight +Embedding .* q6_k +output=q6_k .* 6\.56"));
        Assert.That(plan, Does.Contain("Nothing was written"));
    }

    [Test]
    public void OverridesComeFromOptionsAndFromAFile()
    {
        File.WriteAllText(_folder["types"], "# what else\n_proj=q2_k\nembed=q8_0 # the table\n");
        JsonElement[] tensors = Cli.Run(
            "quantize", TestModels.TinyDense, "--preset", "q4_k_m", "--output", _folder["out"], "--dry-run", "--json",
            "--override", @"layers\.[01]\.mlp=q5_k", "--tensor-type-file", _folder["types"], "--exclude", "o_proj").MustSucceed().Json.Items("tensors");
        string Format(string name) => tensors.Single(tensor => tensor.Text("name") == $"model.{name}.weight").Text("format");
        Assert.Multiple(() =>
        {
            Assert.That(Format("layers.0.mlp.down_proj"), Is.EqualTo("q5_k"));
            Assert.That(Format("layers.2.mlp.down_proj"), Is.EqualTo("q2_k"));
            Assert.That(Format("layers.2.self_attn.o_proj"), Is.EqualTo("bf16"));
            Assert.That(Format("embed_tokens"), Is.EqualTo("q8_0"));
        });
    }

    [TestCase("--preset q4_k_n", "'q4_k_n' is no preset for --preset; --list-presets shows them. Did you mean 'q4_k_", 2)]
    [TestCase("--preset q4_k_m --kquant-type q4_k", "--preset and --kquant-type say both", 2)]
    [TestCase("--preset q4_k_m --override attn=q4_j", "'q4_j' is no codec. Did you mean 'q4_k' or 'q4_0'?", 2)]
    [TestCase("--preset q4_k_m --override attn", "--override is REGEX=CODEC, not 'attn': there is no '='.", 2)]
    [TestCase("--preset q4_k_m --override (=q4_k", "--override is REGEX=CODEC, not '(=q4_k': ", 2)]
    [TestCase("--kquant-type q4k", "Did you mean 'q4_k'", 2)]
    [TestCase("--preset q4_k_m --output-type q6k", "bf16. Did you mean 'q6_k'", 2)]
    [TestCase("--preset q4_k_m --embedding-type q6k", "bf16. Did you mean 'q6_k'", 2)]
    [TestCase("--preset q4_k_m --exclude attn_zz", "'attn_zz' is found in the name of no tensor", 1)]
    [TestCase("--preset q4_k_m --tensor-type-file no/file", "no/file", 1)]
    [TestCase("--preset q4_k_m --exclude [", "--exclude is a regular expression, not '['", 2)]
    [TestCase("--override attn=q4_k", "--override needs --preset, --kquant-type or a target size", 2)]
    [TestCase("--preset q4_k_m --override attn_zz=q4_k", "'attn_zz' is found in the name of no tensor", 1)]
    [TestCase("--preset llama.q2_k_s", "llama.q2_k_s needs an importance matrix", 1)]
    public void WhatIsWrongIsOneSentenceAndNothingIsWritten(string options, string message, int exitCode)
    {
        Cli.Run(["quantize", TestModels.TinyDense, "--output", _folder["out.gguf"], .. options.Split(' ')]).MustFail(message, exitCode: exitCode);
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [TestCase("attn_q=q4_k\nffn=q4_j\n", "types, line 2: 'ffn=q4_j' is not REGEX=CODEC: 'q4_j' is no codec. Did you mean 'q4_")]
    [TestCase("# nothing\nattn_zz=q4_k", "'attn_zz' is found in the name of no tensor")]
    public void AFileOfTypesThatIsWrongIsOneSentence(string content, string message)
    {
        using var other = new TemporaryFolder();
        File.WriteAllText(other["types"], content);
        Cli.Run("quantize", TestModels.TinyDense, "--output", _folder["out.gguf"], "--preset", "q4_k_m", "--tensor-type-file", other["types"]).MustFail(message);
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void AFileSaysWhichRecipeItIs()
    {
        Cli.Run("quantize", TestModels.TinyDense, "--preset", "llama.q4_k_s", "--output", _folder["out.gguf"]).MustSucceed();
        using GgufFile file = GgufFile.Open(_folder["out.gguf"]);
        Assert.That(file.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.Q4_K_S));
    }
}
