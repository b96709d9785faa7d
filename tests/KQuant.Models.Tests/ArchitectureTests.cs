using System.Numerics.Tensors;
using System.Text.Json;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>
/// Every architecture against llama.cpp: next-token probabilities of random models over a text, recorded in <c>fixtures/reference</c>.
/// </summary>
public class ArchitectureTests
{
    /// <summary>A folder to write the models to, with the text beside them, for a new recording.</summary>
    private const string WriteVariable = "KQUANT_WRITE_RANDOM_MODELS";

    [Test]
    public void ProbabilitiesOfLlamaCpp([ValueSource(typeof(RandomModel), nameof(RandomModel.Names))] string name)
    {
        using var folder = new TemporaryFolder();
        string path = folder["model.gguf"];
        RandomModel.Write(name, path);
        if (Environment.GetEnvironmentVariable(WriteVariable) is { Length: > 0 } target)
        {
            File.Copy(path, Path.Combine(target, name + ".gguf"), overwrite: true);
            File.WriteAllText(Path.Combine(target, "prompt.txt"), string.Join(',', RandomModel.Prompt));
        }

        using JsonDocument recorded = JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", "llama-cpp-random.json")));
        JsonElement rows = recorded.RootElement.GetProperty("models").GetProperty(name);
        Assert.That(recorded.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), Is.EqualTo(RandomModel.Prompt));
        int context = name == "phi3-long" ? 512 : 0;
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { LoadTokenizer = false, ChunkSize = 24, ContextLength = context });
        using KeyValueCache cache = model.CreateCache();
        int vocabulary = model.Config.VocabularySize;
        var logits = new float[RandomModel.Prompt.Length * vocabulary];
        model.Forward(RandomModel.Prompt, cache, logits);

        double largest = 0;
        for (int position = 0; position < RandomModel.Prompt.Length; position++)
        {
            Span<float> probabilities = logits.AsSpan(position * vocabulary, vocabulary);
            TensorPrimitives.SoftMax(probabilities, probabilities);
            foreach (JsonElement pair in rows[position].EnumerateArray())
            {
                largest = Math.Max(largest, Math.Abs(probabilities[pair[0].GetInt32()] - pair[1].GetDouble()));
            }
        }

        TestContext.Out.WriteLine($"{name}: largest difference {largest:g3}");
        Assert.That(largest, Is.LessThan(name.StartsWith("gemma", StringComparison.Ordinal) ? 1e-3 : 1e-4));
    }
}
