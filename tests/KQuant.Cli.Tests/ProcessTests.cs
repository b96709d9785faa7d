using System.Diagnostics;
using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests;

/// <summary>What only the real process shows: exit codes, streams, signals, memory.</summary>
public class ProcessTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void PrintsItsVersion()
    {
        CliResult result = CliProcess.Run("--version");
        Assert.That(result.ExitCode, Is.Zero);
        Assert.That(result.Output.Trim(), Does.Match(@"^kquant \d+\.\d+\.\d+$"));
    }

    [Test]
    public void WithoutAVerbItShowsThem()
    {
        CliResult result = CliProcess.Run();
        Assert.That(result.ExitCode, Is.EqualTo(2));
        Assert.That(result.Output, Does.Contain("quantize").And.Contain("dequantize").And.Contain("inspect").And.Contain("verify"));
    }

    [Test]
    public void ResultsGoToOneStreamAndTheRestToTheOther()
    {
        CliResult result = CliProcess.Run("quantize", "--model", TestModels.TinyDense, "--kquant-type", "q4_0", "--output", _folder["out"]);
        Assert.Multiple(() =>
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Output, Does.Match(@"(?m)^q4_0 +43 +10\.0 MiB +2\.81 MiB +4\.50 ").And.Contain($"Wrote {_folder["out"]} in "));
            Assert.That(result.Output, Does.Not.Contain("\e"));
            Assert.That(result.Error, Is.Empty, "what is done at once needs no progress");
        });
    }

    [Test]
    public void FailuresAreOneSentenceAndOne()
    {
        CliResult result = CliProcess.Run("inspect", "--model", RepositoryFiles.Fixture("malformed", "gguf", "dim_huge-00.gguf"));
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((1, "")));
        Assert.That(result.Error, Does.Match(@"^error: .*dim_huge-00\.gguf.*\n$").And.Not.Contain("   at "));
        Assert.That(CliProcess.Run("quantize", "--everything").ExitCode, Is.EqualTo(2));
    }

    [TestCase("INT", 2, "folder")]
    [TestCase("INT", 2, "file")]
    [TestCase("TERM", 15, "folder")]
    [TestCase("HUP", 1, "file")]
    public void AnInterruptionLeavesNothingBehind(string signal, int number, string kind)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no signals that a test could send.");
        }

        if (InheritsIgnored(number))
        {
            Assert.Ignore($"Whoever started the tests has them ignore SIG{signal}, as a shell does with SIGINT for what it starts in the background.");
        }

        string model, output;
        if (kind == "folder")
        {
            const int Rows = 1 << 15, Columns = 256;
            byte[] weights = TestModels.Encode(QuantFormat.BF16, TestModels.Weights(1, 1 << 16));
            model = TestModels.WriteFolder(_folder["model"], Rows, Columns, stream =>
            {
                for (int i = 0; i < Rows * Columns; i += 1 << 16)
                {
                    stream.Write(weights);
                }
            });
            output = _folder["out"];
        }
        else
        {
            byte[] weights = TestModels.Encode(QuantFormat.F16, TestModels.Weights(1, 1 << 16));
            model = TestModels.WriteGguf(_folder["model"], QuantFormat.F16, writer => writer.Add(
                "output.weight", [256, 1 << 15], GgmlType.Of(QuantFormat.F16), stream =>
                {
                    for (int i = 0; i < 1 << 23; i += 1 << 16)
                    {
                        stream.Write(weights);
                    }
                }));
            output = _folder["out.gguf"];
        }

        using var created = new ManualResetEventSlim();
        using var watcher = new FileSystemWatcher(_folder.Path) { EnableRaisingEvents = true };
        watcher.Created += (_, _) => created.Set();
        using Process process = CliProcess.Start(
            null, "quantize", "--model", model, "--kquant-type", "q6_k", "--encode", "best", "--threads", "1", "--output", output);
        Assert.That(created.Wait(TimeSpan.FromMinutes(2)), "something is being written");
        using (Process kill = Process.Start("kill", [$"-{signal}", process.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            kill.WaitForExit();
        }

        CliResult result = CliProcess.Finish(process);
        Assert.Multiple(() =>
        {
            Assert.That(result.ExitCode, Is.EqualTo(130));
            Assert.That(result.Messages, Is.EqualTo(["Interrupted."]));
            Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo([model]));
        });
    }

    /// <summary>A limit on the size of files, which ends a process by a signal unless it looks, is an error like a full disk.</summary>
    [TestCase("quantize", "--kquant-type", "q8_0", "--output", "out")]
    [TestCase("quantize", "--kquant-type", "q8_0", "--output", "out.gguf")]
    [TestCase("quantize", "--kquant-type", "q8_0", "--shard", "1/2", "--output", "out")]
    [TestCase("dequantize", "--output", "out.gguf")]
    [TestCase("imatrix", "calibrate", "--corpus", "text", "--chunks", "1", "--ctx", "16", "--output", "out.gguf")]
    [TestCase("logits", "--ids", "1,2,3", "--output", "out.npy")]
    [TestCase("inspect", "--html", "out.html")]
    [Platform("Linux", Reason = "Others count the limit otherwise.")]
    public void ALimitOnTheSizeOfFilesLeavesNothingBehind(params string[] line)
    {
        _folder.Write("text", string.Concat(Enumerable.Repeat("It is a truth universally acknowledged. ", 20)));
        string model = TestModels.TinyDense, output = line[^1];
        if (line[0] == "dequantize")
        {
            model = _folder["model.gguf"];
            Cli.Quantize(TestModels.TinyDense, "q8_0", model).MustSucceed();
        }

        string[] before = Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories);

        // The runtime itself has files of more than this unless it is told not to map its code twice.
        var start = new ProcessStartInfo("prlimit", ["--fsize=2000", CliProcess.Path, .. line, "--model", model])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder.Path,
            Environment = { ["DOTNET_EnableWriteXorExecute"] = "0" },
        };
        using Process process = Process.Start(start)!;
        CliResult result = CliProcess.Finish(process);
        Assert.Multiple(() =>
        {
            Assert.That(result.ExitCode, Is.EqualTo(1));
            Assert.That(result.Messages, Has.Length.EqualTo(1));
            Assert.That(result.Error, Does.StartWith("error: ").And.Contain(output).And.Contain("larger than the system").And.Not.Contain(".partial"));
            Assert.That(Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories), Is.EquivalentTo(before));
        });
    }

    private static bool InheritsIgnored(int signal)
    {
        const string Status = "/proc/self/status", Mask = "SigIgn:";
        return File.Exists(Status) && File.ReadLines(Status).Single(line => line.StartsWith(Mask, StringComparison.Ordinal)) is string line
            && (ulong.Parse(line.AsSpan(Mask.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & (1ul << (signal - 1))) != 0;
    }

    [TestCase("folder")]
    [TestCase("file")]
    public void MemoryDoesNotGrowWithTheModel(string kind)
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Only Linux tells the peak memory of another process.");
        }

        const int Rows = 1 << 14, Columns = 8192, SourceBytes = 2;
        string model, output;
        if (kind == "folder")
        {
            model = TestModels.WriteFolder(_folder["model"], Rows, Columns, WriteZeros);
            output = _folder["out"];
        }
        else
        {
            model = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F16, writer =>
                writer.Add("output.weight", [Columns, Rows], GgmlType.Of(QuantFormat.F16), WriteZeros));
            output = _folder["out.gguf"];
        }

        using Process process = CliProcess.Start(null, "quantize", "--model", model, "--kquant-type", "q4_0", "--output", output);
        long peak = 0;
        do
        {
            peak = Math.Max(peak, ReadPeak(process.Id));
        }
        while (!process.WaitForExit(20));

        Assert.That(CliProcess.Finish(process).ExitCode, Is.Zero);
        TestContext.Out.WriteLine($"{kind}: {peak >> 20} MiB for a tensor of {(long)Rows * Columns * SourceBytes >> 20} MiB");
        Assert.That(peak, Is.InRange(20L << 20, 200L << 20));

        static void WriteZeros(Stream stream)
        {
            var zeros = new byte[1 << 20];
            for (long i = 0; i < (long)Rows * Columns * SourceBytes; i += zeros.Length)
            {
                stream.Write(zeros);
            }
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public void AModelIsMappedUnlessItIsToBeRead(bool isMapped)
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Only Linux tells what another process has mapped.");
        }

        foreach (string file in Directory.GetFiles(TestModels.TinyDense))
        {
            File.Copy(file, _folder[Path.GetFileName(file)]);
        }

        string[] arguments = ["chat", _folder.Path, "--max-tokens", "3", "--temp", "0", "--no-history"];
        using Process process = CliProcess.StartWithInput([.. arguments, .. isMapped ? Array.Empty<string>() : ["--no-mmap"]]);
        Assert.That(process.StandardOutput.ReadLine(), Does.StartWith("[kquant] chat with"));
        string maps = File.ReadAllText($"/proc/{process.Id}/maps");
        Assert.That(maps.Contains("model.safetensors", StringComparison.Ordinal), Is.EqualTo(isMapped));
        if (!isMapped)
        {
            File.WriteAllBytes(_folder["model.safetensors"], []);
        }

        process.StandardInput.Write("Hello\n/temp\n");
        process.StandardInput.Close();
        CliResult result = CliProcess.Finish(process);
        Assert.That((result.ExitCode, result.Error), Is.EqualTo((0, "")));
        string[] expected = Cli.RunWith("Hello\n/temp\n", "chat", TestModels.TinyDense, "--max-tokens", "3", "--temp", "0", "--no-history").MustSucceed().Output.Split('\n', 2);
        Assert.That(result.Output, Is.EqualTo(expected[1]).And.EndsWith("[kquant] temp=0\n"), "it answers, whatever became of the file");
    }

    private static long ReadPeak(int process)
    {
        try
        {
            string line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)) ?? "VmHWM: 0 kB";
            return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile.
            return 0;
        }
    }
}
