using KQuant.Cli;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>The command line on the device: quantized models, from the file to the text.</summary>
public class ModelTests : MetalTest
{
    private static readonly string Ids = string.Join(',', RandomCheckpoint.Prompt(3));

    [Test]
    public void LogitsHaveTheBitsOfTheProcessor([Values("qwen2", "qwen3-moe")] string name)
    {
        using var folder = new TemporaryFolder();
        string model = Quantize(folder, name);
        string device = folder["device.npy"], processor = folder["processor.npy"];
        Run("logits", "--model", model, "--device", "metal", "--ids", Ids, "--output", device);
        Run("logits", "--model", model, "--device", "cpu", "--activations", "f32", "--ids", Ids, "--output", processor);
        Assert.That(File.ReadAllBytes(device), Is.EqualTo(File.ReadAllBytes(processor)));
    }

    [Test]
    public void RunSaysWhatItRanOn([Values("metal", "auto")] string device)
    {
        using var folder = new TemporaryFolder();
        string output = Run("run", "--model", Quantize(folder, "mistral"), "--device", device, "--prompt", "a", "--max-tokens", "2");
        Assert.That(output.TrimEnd().Split('\n')[^1], Does.Match(@"^Kernels: metal \(.+\) for q4_k, \d+ threads$"));
    }

    [Test]
    public void TheBenchmarkSaysThatATokenIsOneWait([Values("qwen2", "qwen3-moe")] string name)
    {
        SoftwareDevice.Require();
        using var folder = new TemporaryFolder();

        // Another process would not have the device.
        string output = Run("bench", "model", "--model", Quantize(folder, name), "--device", "metal", "--prompt-tokens", "9", "--tokens", "1", "--rounds", "1", "--threads", "1",
            "--no-first-token");
        TestContext.Out.WriteLine(output);
        Assert.That(output, Does.Match(@"Of metal \(software device\), for each token: 1\.0 waits, \d+\.0 dispatches, 0\.0 buffers made\."));
    }

    /// <summary>
    /// Prompts by chunks of many rows and of few, tokens one by one: everywhere the bits of the processor, and of the reference backend. A chunk
    /// of few rows is one wait.
    /// </summary>
    [Test]
    public void TokensHaveTheBitsOfTheProcessor([Values("tiny-dense", "tiny-moe")] string name)
    {
        using var folder = new TemporaryFolder();
        string path = folder["model"];
        Run("quantize", "--model", RepositoryFiles.Fixture("models", name), "--kquant-type", "q4_k", "--output", path);
        using var backend = MetalBackend.Create();
        using var context = new MatmulContext(new MatmulOptions { Activations = ActivationPrecision.Float32, MaxDegreeOfParallelism = 1 });
        using var reference = new ManagedBackend(context);
        int[][] expected = Continue(path, context, null, (_, _) => { });
        Assert.That(Continue(path, context, reference, (_, _) => { }), Is.EqualTo(expected));
        long waits = 0;
        Assert.That(Continue(path, context, backend, (count, isDone) =>
        {
            if (isDone && count <= 8)
            {
                Assert.That(backend.Counters.Waits - waits, Is.EqualTo(1), $"waits for {count} tokens");
            }

            waits = backend.Counters.Waits;
        }), Is.EqualTo(expected));
    }

    private static int[][] Continue(string path, MatmulContext context, MatmulBackend? backend, Action<int, bool> observe)
    {
        using var model = LanguageModel.Load(path, new ModelOptions { LoadTokenizer = false, Context = context, Backend = backend });
        using KeyValueCache cache = model.CreateCache();
        int[] tokens = [.. Enumerable.Range(0, 13).Select(i => (i * 37) + 5)];
        var results = new List<int[]>();
        float[] logits = new float[model.Config.VocabularySize];
        int at = 0;
        foreach (int count in (int[])[9, 1, 2, 1])
        {
            observe(count, false);
            model.Forward(tokens.AsSpan(at, count), cache, logits);
            observe(count, true);
            results.Add(Numbers.Bits(logits));
            at += count;
        }

        return [.. results];
    }

    private static string Quantize(TemporaryFolder folder, string name)
    {
        string output = folder[name + "-q4_k"];
        Run("quantize", "--model", RandomCheckpoint.Create(name).Write(folder[name]), "--kquant-type", "q4_k", "--output", output);
        return output;
    }

    private static string Run(params string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        Assert.That(KQuantCommand.RunAsync(args, output, error).GetAwaiter().GetResult(), Is.Zero, error.ToString());
        return output.ToString();
    }
}
