using System.Diagnostics;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>Jobs that several processes do together, by themselves and as the job files in docs/deploy start them.</summary>
public class ShardTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("q4_k", "out.gguf", 3)]
    [TestCase("q4_k", "out", 2)]
    [TestCase("mixed_3_6", "out", 3)]
    [TestCase("q6_k", "out", 60)]
    public void PartsBecomeTheBytesOfASingleRun(string codec, string output, int parts)
    {
        string model = TestModels.TinyMoe, whole = _folder["whole" + Path.GetExtension(output)], target = _folder[output];
        CliResult single = Cli.Quantize(model, codec, whole).MustSucceed();
        int tensors = 0;
        for (int i = parts; i >= 1; i--)
        {
            CliResult part = Cli.Quantize(model, codec, target, "--shard", $"{i}/{parts}", "--json").MustSucceed();
            tensors += part.Json.GetProperty("tensors").GetArrayLength();
            Assert.That(Path.Exists(target), Is.False);
        }

        CliResult assembled = Cli.Quantize(model, codec, target, "--assemble").MustSucceed();
        Assert.That(tensors, Is.EqualTo(22));
        AssertSame(whole, target);
        Assert.That(Table(assembled), Is.EqualTo(Table(single)), "errors and sizes are reported as for a single run");
        Cli.Quantize(model, codec, target, "--assemble").MustFail("exists; --overwrite replaces it");

        static string[] Table(CliResult result) => [.. result.Output.Split('\n').TakeWhile(line => !line.StartsWith("Wrote", StringComparison.Ordinal))];
    }

    [Test]
    public void PartsAreBalanced()
    {
        long[] bytes = [.. Enumerable.Range(1, 4).Select(i => Cli.Quantize(TestModels.TinyMoe, "q4_k", _folder["out"], "--shard", $"{i}/4", "--json")
            .MustSucceed().Json.GetProperty("source_bytes").GetInt64())];
        Assert.That(bytes.Max() - bytes.Min(), Is.LessThan(bytes.Sum() / 10));
    }

    [Test]
    public void APartThatIsThereStaysIfItIsTheSame()
    {
        string target = _folder["out.gguf"], part = Path.Combine(target + ".parts", "part-00002-of-00003.safetensors");
        Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3").MustSucceed();
        DateTime written = File.GetLastWriteTimeUtc(part);
        Assert.That(Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3").MustSucceed().Output, Does.Contain("was there already"));
        Assert.That(File.GetLastWriteTimeUtc(part), Is.EqualTo(written));
        Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3", "--encode", "best").MustFail(
            "the part was made from or with other options: options 'encode reference, overflow error, errors true' instead of 'encode best, ");
        Cli.Quantize(TestModels.TinyDense, "q5_k", target, "--shard", "2/3").MustFail("other codecs");
        Damage(part);
        Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3").MustFail("--overwrite encodes it again");
        Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3", "--overwrite").MustSucceed();
        Assert.That(Cli.Quantize(TestModels.TinyDense, "q4_k", target, "--shard", "2/3").MustSucceed().Output, Does.Contain("was there already"));
        Assert.That(Directory.GetFileSystemEntries(target + ".parts"), Has.Length.EqualTo(1));
    }

    [Test]
    public void BadPartsAreOneSentenceAndNothingIsWritten()
    {
        string target = _folder["out.gguf"], parts = target + ".parts";
        string[] quantize = ["quantize", "--model", TestModels.TinyDense, "--kquant-type", "q4_k", "--output", target];
        string File(int i) => Path.Combine(parts, $"part-0000{i}-of-00003.safetensors");
        foreach (string word in (string[])["0/3", "4/3", "1", "1/0", "-1/3", "x/3", "1/99999999"])
        {
            Cli.Run([.. quantize, "--shard", word]).MustFail("--shard is I/N with I from 1 to N", exitCode: 2);
        }

        Cli.Run([.. quantize, "--shard", "1/3", "--assemble"]).MustFail("give one of them", exitCode: 2);
        Cli.Run([.. quantize, "--shard", "1/3", "--dry-run"]).MustFail("leave --shard and --assemble out", exitCode: 2);
        Cli.Run([.. quantize, "--assemble"]).MustFail("has no parts of");
        Cli.Run([.. quantize, "--shard", "1/3"]).MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("has 1 of 3 parts; 2/3, 3/3 are missing");
        Cli.Run([.. quantize, "--shard", "3/3"]).MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("has 2 of 3 parts; 2/3 is missing");
        System.IO.File.Copy(File(1), File(2));
        Cli.Run([.. quantize, "--assemble"]).MustFail("the content is part 1/3, not 2/3");

        Cli.Quantize(TestModels.TinyMoe, "q4_k", target, "--shard", "2/3", "--overwrite").MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("another source");
        Cli.Run([.. quantize, "--shard", "2/3", "--encode", "best", "--overwrite"]).MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("other options");
        Cli.Run([.. quantize, "--shard", "2/3", "--override", "down_proj|ffn_down=q6_k", "--overwrite"]).MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("other codecs");
        using (var matrix = new ImportanceMatrix())
        {
            matrix.Add(new ImportanceEntry("blk.0.attn_q.weight", [.. Enumerable.Range(1, 256).Select(i => (float)i)], [1]));
            matrix.Write(_folder["imatrix"], ImportanceFormat.Gguf);
        }

        Cli.Run([.. quantize, "--shard", "2/3", "--imatrix", _folder["imatrix"], "--overwrite"]).MustSucceed();
        Cli.Run([.. quantize, "--assemble"]).MustFail("another importance matrix");
        System.IO.File.Copy(Path.Combine(TestModels.TinyDense, "model.safetensors"), File(2), overwrite: true);
        Cli.Run([.. quantize, "--assemble"]).MustFail("this is no part of a conversion");
        Cli.Run([.. quantize, "--shard", "2/3", "--overwrite"]).MustSucceed();
        Damage(File(2));
        Cli.Run([.. quantize, "--assemble"]).MustFail("the bytes are damaged");
        Assert.That(Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName), Is.EquivalentTo((string[])["imatrix", "out.gguf.parts"]));

        Cli.Run([.. quantize, "--shard", "2/3", "--overwrite"]).MustSucceed();
        System.IO.File.WriteAllText(Path.Combine(parts, "part-00001-of-00002.safetensors"), "");
        Cli.Run([.. quantize, "--assemble"]).MustFail("has parts of 2 and of 3");
        System.IO.File.Delete(Path.Combine(parts, "part-00001-of-00002.safetensors"));
        Cli.Run([.. quantize, "--assemble"]).MustSucceed();
    }

    [Test]
    public void CalibrationsOfPartsBecomeThatOfTheWhole()
    {
        WriteText();
        string[] calibrate =
        [
            "imatrix", "calibrate", "--model", TestModels.TinyMoe, "--corpus", _folder["text"], "--ctx", "64", "--chunks", "7", "--activations", "f32", "--losses", "64",
            "--output",
        ];
        Cli.Run([.. calibrate, _folder["whole.gguf"]]).MustSucceed();
        for (int i = 1; i <= 3; i++)
        {
            Cli.Run([.. calibrate, _folder["i.gguf"], "--shard", $"{i}/3"]).MustSucceed();
        }

        string[] parts = [.. Directory.GetFiles(_folder["i.gguf.parts"]).Order()];
        Assert.That(Cli.Run([.. calibrate, _folder["i.gguf"], "--shard", "2/3"]).MustSucceed().Output, Does.Contain("was there already"));
        Cli.Run(["imatrix", "merge", .. parts, "-o", _folder["i.gguf"]]).MustSucceed();
        using ImportanceMatrix whole = ImportanceMatrix.Open(_folder["whole.gguf"]), merged = ImportanceMatrix.Open(_folder["i.gguf"]);
        Assert.That(merged.ChunkCount, Is.EqualTo(7));
        Assert.That(merged.Part, Is.Null);
        Assert.That(merged.Entries.Select(entry => entry.Name).Order(), Is.EqualTo(whole.Entries.Select(entry => entry.Name).Order()));
        foreach (ImportanceEntry entry in whole.Entries)
        {
            Assert.That(merged.TryGet(entry.Name, out ImportanceEntry? found));
            Assert.That(found!.GetCounts(), Is.EqualTo(entry.GetCounts()));
            Assert.That(found.GetImportance(), Is.EqualTo(entry.GetImportance()).Within(1e-4).Percent, entry.Name);
            Assert.That(found.LossPerError is null, Is.EqualTo(entry.LossPerError is null), entry.Name);
        }

        Cli.Run("imatrix", "merge", parts[0], parts[2], "-o", _folder["bad.gguf"]).MustFail("Part 2/3 of the calibration is missing");
        Cli.Run("imatrix", "merge", parts[0], parts[1], parts[1], "-o", _folder["bad.gguf"]).MustFail("are both part 2/3");
        Cli.Run("imatrix", "merge", parts[0], _folder["whole.gguf"], "-o", _folder["bad.gguf"]).MustFail("a whole one");
        string[] otherwise = [.. calibrate.Select(word => word == "7" ? "6" : word)];
        Cli.Run([.. otherwise, _folder["j.gguf"], "--shard", "2/3"]).MustSucceed();
        string foreign = Directory.GetFiles(_folder["j.gguf.parts"]).Single();
        Cli.Run("imatrix", "merge", parts[0], foreign, parts[2], "-o", _folder["bad.gguf"]).MustFail("of another calibration");
        Cli.Run([.. otherwise, _folder["i.gguf"], "--shard", "2/3"]).MustFail("is part of another calibration");
        Cli.Run([.. calibrate, _folder["k.gguf"], "--shard", "9/9"]).MustFail("7 chunks of 64 tokens, too few for 9 parts");
        Cli.Run([.. calibrate, _folder["k.gguf"], "--shard", "1/2", "--coverage-floor", "5"]).MustFail("does not go with --shard", exitCode: 2);
        Cli.Run([.. calibrate, _folder["k.gguf"], "--shard", "1/2", "--prior-weight", "5"]).MustFail("give it to 'imatrix merge'", exitCode: 2);
        Cli.Run([.. calibrate, _folder["k.dat"], "--shard", "1/2"]).MustFail("Parts of a calibration are GGUF files", exitCode: 2);
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path).Select(Path.GetFileName), Has.None.StartsWith("bad").And.None.StartsWith("k."));
        Cli.Run(["imatrix", "merge", .. parts, "-o", _folder["prior.gguf"], "--prior-weight", "10"]).MustSucceed();
        using ImportanceMatrix prior = ImportanceMatrix.Open(_folder["prior.gguf"]);
        Assert.That(prior.Entries[0].GetCounts()[0], Is.EqualTo(merged.Entries[0].GetCounts()[0] + 10));
    }

    [Test]
    public void TheSlurmJobDoesAModelAndACalibration()
    {
        string script = DeployFile("kquant.sbatch");
        string[] words = ["quantize", "--model", TestModels.TinyMoe, "--kquant-type", "q4_k", "--encode", "best", "--output", _folder["out.gguf"]];
        string[] command = ["/bin/sh", script, .. words];
        string part = Path.Combine(_folder["out.gguf.parts"], "part-00002-of-00003.safetensors");
        Cli.Run([.. words[..^1], _folder["whole.gguf"]]).MustSucceed();
        Assert.That(Run(command, ("SLURM_ARRAY_TASK_ID", "1")).Error, Does.Contain("PARTS is how many parts"));

        // Three tasks at once, one of which is killed while it writes; again if it was faster.
        do
        {
            if (File.Exists(part))
            {
                File.Delete(part);
            }

            Process[] tasks = [.. Enumerable.Range(1, 3).Select(i => Start(command, ("PARTS", "3"), ("SLURM_ARRAY_TASK_ID", $"{i}")))];
            SpinWait.SpinUntil(() => tasks[1].HasExited || FilesOf("part-00002").Length > 0);
            tasks[1].Kill(entireProcessTree: true);
            foreach (Process task in tasks)
            {
                using (task)
                {
                    CliProcess.Finish(task);
                }
            }
        }
        while (File.Exists(part));

        Assert.That(Run(command, ("PARTS", "3")).MustFail("2/3 is missing").ExitCode, Is.EqualTo(1));
        Run(command, ("PARTS", "3"), ("SLURM_ARRAY_TASK_ID", "2")).MustSucceed();
        Assert.That(FilesOf("part-00002"), Is.EqualTo((string[])[part]), "what the killed task left is gone");
        Run(command, ("PARTS", "3")).MustSucceed();
        AssertSame(_folder["whole.gguf"], _folder["out.gguf"]);

        WriteText();
        string[] calibrate = ["imatrix", "calibrate", "--model", TestModels.TinyDense, "--corpus", _folder["text"], "--ctx", "64", "--output", _folder["i.gguf"]];
        Run(["/bin/sh", script, .. calibrate], ("PARTS", "2"), ("SLURM_ARRAY_TASK_ID", "2")).MustSucceed();
        Assert.That(Run(["/bin/sh", script, .. calibrate], ("PARTS", "2")).Error, Does.Contain("Part 1/2 of the calibration is missing"));
        Run(["/bin/sh", script, .. calibrate], ("PARTS", "2"), ("SLURM_ARRAY_TASK_ID", "1")).MustSucceed();
        Run(["/bin/sh", script, .. calibrate], ("PARTS", "2")).MustSucceed();
        Assert.That(File.Exists(_folder["i.gguf"]));

        string[] FilesOf(string name) => Directory.Exists(_folder["out.gguf.parts"])
            ? [.. Directory.GetFiles(_folder["out.gguf.parts"]).Where(file => file.Contains(name, StringComparison.Ordinal))]
            : [];
    }

    [Test]
    public void TheKubernetesJobsDoAModel()
    {
        string[] job = Command(DeployFile("kquant-job.yaml")), assemble = Command(DeployFile("kquant-assemble.yaml"));
        (string, string)[] settings = [("PARTS", "2"), ("MODEL", TestModels.TinyDense), ("OUTPUT", _folder["out"]), ("RECIPE", "--preset q4_k_m")];
        Run(job, [.. settings, ("JOB_COMPLETION_INDEX", "1")]).MustSucceed();
        Run(assemble, settings).MustFail("1/2 is missing");
        Run(job, [.. settings, ("JOB_COMPLETION_INDEX", "2")]).MustFail("not '3/2'", exitCode: 2);
        Run(job, [.. settings, ("JOB_COMPLETION_INDEX", "0")]).MustSucceed();
        Run(assemble, settings).MustSucceed();
        Cli.Run("quantize", "--model", TestModels.TinyDense, "--output", _folder["whole"], "--preset", "q4_k_m").MustSucceed();
        AssertSame(_folder["whole"], _folder["out"]);
    }

    private static string DeployFile(string name) => Path.Combine(RepositoryFiles.Root, "docs", "deploy", name);

    /// <summary>The command of the container.</summary>
    private static string[] Command(string file) =>
        [.. YamlText.ReadFile(file).Single()["spec"]!["template"]!["spec"]!["containers"]!.AsArray().Single()!["command"]!.AsArray().Select(word => (string)word!)];

    /// <summary>Starts a command as a scheduler does, with <c>kquant</c> on its path.</summary>
    private static Process Start(string[] command, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{Path.GetDirectoryName(CliProcess.Path)}:{start.Environment["PATH"]}";
        foreach ((string name, string value) in variables)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private static CliResult Run(string[] command, params (string Name, string Value)[] variables)
    {
        using Process process = Start(command, variables);
        return CliProcess.Finish(process);
    }

    private static void Damage(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    private static void AssertSame(string expected, string actual)
    {
        string[] files = Directory.Exists(expected) ? [.. Directory.GetFiles(expected).Select(Path.GetFileName).Order()!] : [""];
        if (Directory.Exists(expected))
        {
            Assert.That(Directory.GetFiles(actual).Select(Path.GetFileName).Order(), Is.EqualTo(files));
        }

        foreach (string file in files)
        {
            byte[] left = File.ReadAllBytes(Path.Combine(expected, file)), right = File.ReadAllBytes(Path.Combine(actual, file));
            Assert.That(left.AsSpan().SequenceEqual(right), $"{file} differs");
        }
    }

    private void WriteText() => File.WriteAllText(
        _folder["text"], string.Concat(Enumerable.Repeat("\"I have not the pleasure of understanding you,\" said he, when she had finished her speech. ", 40)));
}
