using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>gpt-oss with its experts in mxfp4, as it is published, is the model with the same weights as floats, also as a GGUF file.</summary>
public class BlockedExpertsTests
{
    private static readonly float[] Magnitudes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];

    [Test]
    public void BlocksAreTheFloatsThatTheyStandFor()
    {
        using var folder = new TemporaryFolder();
        (string blocks, string floats) = Write(folder);
        string gguf = folder["model.gguf"];
        using (var export = GgufExport.Create(ModelFolder.Open(blocks)))
        {
            ModelConverter.Convert(QuantizationPlan.Keep(export), gguf);
            Assert.That(export.TryGetTensor("blk.0.ffn_gate_exps.weight", out ModelTensor? gate));
            Assert.That(gate!.FormatName, Is.EqualTo("mxfp4"));
        }

        float[] expected = Logits(floats);
        Assert.Multiple(() =>
        {
            Assert.That(Logits(blocks), Is.EqualTo(expected).Within(1e-4));
            Assert.That(Logits(gguf), Is.EqualTo(expected).Within(1e-4));
        });
    }

    private static float[] Logits(string path)
    {
        var options = new ModelOptions { LoadTokenizer = false, Conventions = ModelConventions.LlamaCpp };
        using LanguageModel model = LanguageModel.Load(path, options);
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        model.Forward(RandomCheckpoint.Prompt(24), cache, logits);
        return logits;
    }

    /// <summary>Rounds the experts of a random model to mxfp4 and writes it both ways.</summary>
    private static (string Blocks, string Floats) Write(TemporaryFolder folder)
    {
        var checkpoint = RandomCheckpoint.Create("gpt-oss");
        string blocks = checkpoint.Write(folder["blocks"]), floats = checkpoint.Write(folder["floats"]);
        var blocked = new SafetensorsWriter();
        var plain = new SafetensorsWriter();
        foreach ((string name, (int[] shape, float[] values)) in checkpoint.Tensors)
        {
            if (!name.EndsWith("experts.gate_up_proj", StringComparison.Ordinal) && !name.EndsWith("experts.down_proj", StringComparison.Ordinal))
            {
                Add(blocked, name, shape, values);
                Add(plain, name, shape, values);
                continue;
            }

            (int experts, int inputs, int outputs) = (shape[0], shape[1], shape[2]);
            byte[] codes = new byte[values.Length / 2], scales = new byte[values.Length / 32];
            var rounded = new float[values.Length];
            for (int i = 0; i < values.Length; i++)
            {
                // Position in [experts, out, in], and where the weight is in [experts, in, out]. A scale of 2^-4 has room for all.
                (int row, int column) = Math.DivRem(i, inputs);
                int from = (row / outputs * inputs * outputs) + (column * outputs) + (row % outputs);
                int nearest = Enumerable.Range(0, 8).MinBy(code => Math.Abs(Magnitudes[code] - Math.Abs(values[from] * 16)));
                int sign = values[from] < 0 ? 8 : 0;
                codes[i / 2] |= (byte)((nearest | sign) << (i % 2 * 4));
                scales[i / 32] = 127 - 4;
                rounded[from] = (sign == 0 ? 1 : -1) * Magnitudes[nearest] / 16;
            }

            blocked.Add(name + "_blocks", ElementType.U8, [experts, outputs, inputs / 32, 16], codes);
            blocked.Add(name + "_scales", ElementType.U8, [experts, outputs, inputs / 32], scales);
            Add(plain, name, shape, rounded);
        }

        blocked.Write(Path.Combine(blocks, "model.safetensors"));
        plain.Write(Path.Combine(floats, "model.safetensors"));
        return (blocks, floats);
    }

    private static void Add(SafetensorsWriter writer, string name, int[] shape, float[] values)
    {
        QuantCodec codec = QuantCodec.Get(QuantFormat.BF16);
        var bytes = new byte[codec.GetByteCount(values.Length)];
        codec.Encode(values, bytes);
        writer.Add(name, ElementType.BF16, [.. shape.Select(dimension => (long)dimension)], bytes);
    }
}
