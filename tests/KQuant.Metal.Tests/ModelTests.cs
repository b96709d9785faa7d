using KQuant.Cli;
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
        Assert.That(CommandLine.RunAsync(args, output, error).GetAwaiter().GetResult(), Is.Zero, error.ToString());
        return output.ToString();
    }
}
