using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary>
/// Writes the files that <c>fixtures/reference/llama-cpp.mjs</c> shows to llama.cpp. All of them go to the folder that
/// <c>KQUANT_RECORDING</c> names; without it, one goes to a temporary folder and is opened.
/// </summary>
public class GgufRecording
{
    [Test]
    public void RandomCheckpointsBecomeFiles()
    {
        using var temporary = new TemporaryFolder();
        string? recording = LlamaCppRecording.Folder;
        foreach (string name in recording is null ? ["qwen2"] : RandomCheckpoint.Names)
        {
            string folder = recording ?? temporary.Path, output = Path.Combine(folder, name + ".gguf");
            using var model = GgufExport.Create(ModelFolder.Open(RandomCheckpoint.Create(name).Write(Path.Combine(folder, name))));
            var plan = QuantizationPlan.Uniform(model, QuantCodec.Get(QuantFormat.F32));
            ModelConverter.Convert(plan, output, new ConversionOptions { Overwrite = true });
            using GgufFile file = GgufFile.Open(output);
            Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EqualTo(model.Tensors.Select(tensor => tensor.Name)));
        }

        if (recording is not null)
        {
            File.WriteAllText(Path.Combine(recording, "prompt.json"), $"[{string.Join(", ", RandomCheckpoint.Prompt(64))}]");
        }
    }
}
