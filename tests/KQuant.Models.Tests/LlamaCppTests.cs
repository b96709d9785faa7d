using System.Numerics.Tensors;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>
/// Checkpoint folders of every architecture and the GGUF files made from them are the same model, the one that llama.cpp computes: its
/// probabilities of each next token of a prompt are recorded in <c>fixtures/reference/llama-cpp.json</c>.
/// </summary>
public class LlamaCppTests
{
    private static readonly JsonElement Recording =
        JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", "llama-cpp.json"))).RootElement;

    private static readonly int[] Prompt = [.. Recording.GetProperty("prompt").EnumerateArray().Select(id => id.GetInt32())];

    [Test]
    public void ProbabilitiesAreThoseOfLlamaCpp([ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name)
    {
        using var folder = new TemporaryFolder();
        string checkpoint = RandomCheckpoint.Create(name).Write(folder["hf"]);
        string gguf = ModelKinds.Convert(
            checkpoint, ModelKind.Gguf, folder["model"], model => QuantizationPlan.Dequantize(model, QuantCodec.Get(QuantFormat.F32)));
        double[] expected = [.. Recording.GetProperty("checkpoints").GetProperty(name).GetProperty("next").EnumerateArray().Select(next => next.GetDouble())];

        // llama.cpp looks Gemma's activation up in a table of binary16.
        double tolerance = name.StartsWith("gemma", StringComparison.Ordinal) ? 1e-3 : 2e-5;
        Assert.Multiple(() =>
        {
            Assert.That(NextProbabilities(checkpoint), Is.EqualTo(expected).Within(tolerance), "the folder");
            Assert.That(NextProbabilities(gguf), Is.EqualTo(expected).Within(tolerance), "the GGUF file");
        });
    }

    private static double[] NextProbabilities(string path)
    {
        // The context of the recording: LongRope depends on it.
        var options = new ModelOptions { LoadTokenizer = false, Conventions = ModelConventions.LlamaCpp, ContextLength = 256 };
        using LanguageModel model = LanguageModel.Load(path, options);
        using KeyValueCache cache = model.CreateCache();
        int vocabulary = model.Config.VocabularySize;
        var logits = new float[Prompt.Length * vocabulary];
        model.Forward(Prompt, cache, logits);
        var probabilities = new double[Prompt.Length - 1];
        for (int i = 0; i < probabilities.Length; i++)
        {
            Span<float> row = logits.AsSpan(i * vocabulary, vocabulary);
            TensorPrimitives.SoftMax(row, row);
            probabilities[i] = row[Prompt[i + 1]];
        }

        return probabilities;
    }
}
