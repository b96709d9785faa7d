using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Conversion;

/// <summary>Writes what <c>fixtures/reference/llama-cpp.mjs</c> shows to llama.cpp; see there.</summary>
[Explicit("Writes files for another program.")]
public class GgufRecording
{
    [Test]
    public void WriteRandomCheckpoints()
    {
        string folder = Environment.GetEnvironmentVariable("KQUANT_RECORDING")
            ?? throw new InvalidOperationException("KQUANT_RECORDING names the folder to write to.");
        foreach (string name in RandomCheckpoint.Names)
        {
            using var model = GgufExport.Create(ModelFolder.Open(RandomCheckpoint.Create(name).Write(Path.Combine(folder, name))));
            var plan = QuantizationPlan.Uniform(model.Tensors, QuantCodec.Get(QuantFormat.F32));
            ModelConverter.Convert(model, plan, Path.Combine(folder, name + ".gguf"), new ConversionOptions { Overwrite = true });
        }

        File.WriteAllText(Path.Combine(folder, "prompt.json"), $"[{string.Join(", ", RandomCheckpoint.Prompt(64))}]");
    }
}
