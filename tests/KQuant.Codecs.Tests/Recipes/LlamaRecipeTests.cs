using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Recipes;

/// <summary>Files by llama.cpp's recipes are what llama-quantize makes of the same floats: the type and the bytes of every tensor.</summary>
public class LlamaRecipeTests
{
    private static readonly Dictionary<string, string> Recorded = JsonSerializer.Deserialize<Dictionary<string, string>>(
        File.ReadAllText(RepositoryFiles.Fixture("recipes", "llama-quantize.json")))!;

    [Test]
    public void FilesAreThoseOfLlamaQuantize([ValueSource(typeof(RecipeModels), nameof(RecipeModels.Names))] string name)
    {
        using var folder = new TemporaryFolder();
        string path = folder["model.gguf"], importance = folder["imatrix.gguf"];
        RecipeModels.Write(name, path);
        RecipeModels.WriteImportance(name, importance);
        using GgufModel model = GgufModel.Open(path);
        using ImportanceMatrix matrix = ImportanceMatrix.Open(importance);
        string[] keys = [.. Recorded.Keys.Where(key => key.StartsWith(name + " ", StringComparison.Ordinal))];
        Assert.That(keys, Has.Length.EqualTo(33));
        foreach (string key in keys)
        {
            string[] words = key.Split(' ');
            Assert.That(QuantizationRecipe.TryParse(words[1], out QuantizationRecipe? recipe), words[1]);
            bool isSteered = words.Contains("imatrix");
            var options = new RecipeOptions { HasImportance = isSteered, IsPure = words.Contains("pure") };
            QuantizationPlan plan = QuantizationPlan.FromRecipe(model, recipe!, options);
            ModelConverter.Convert(plan, folder["out.gguf"], new ConversionOptions
            {
                Importance = isSteered ? ImportanceMap.Create(plan, matrix) : null,
                Overwrite = true,
                MeasureError = false,
            });
            Assert.That(Summarize(folder["out.gguf"]), Is.EqualTo(Recorded[key]), key);
        }
    }

    [Test]
    public void EveryRecipeIsRecorded() => Assert.That(
        QuantizationRecipe.All.Select(recipe => recipe.Name).Where(name => name.StartsWith("llama.", StringComparison.Ordinal)),
        Is.EquivalentTo(Recorded.Keys.Select(key => key.Split(' ')[1]).Distinct()));

    /// <summary>The type of every tensor as a letter, in the order of names, the file type, and the sum of all bytes in that order.</summary>
    private static string Summarize(string path)
    {
        using GgufModel model = GgufModel.Open(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var types = new StringBuilder();
        foreach (GgufTensor tensor in model.File.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            types.Append((char)('A' + tensor.TypeId));
            hash.AppendData(Encoding.ASCII.GetBytes($"{tensor.Name} {tensor.TypeId}\n"));
            var bytes = new byte[tensor.ByteCount!.Value];
            tensor.ReadBytes(0, bytes);
            hash.AppendData(bytes);
        }

        return $"{types} {model.File.Metadata.Get<uint>("general.file_type")} {Convert.ToHexStringLower(hash.GetHashAndReset())[..32]}";
    }
}
