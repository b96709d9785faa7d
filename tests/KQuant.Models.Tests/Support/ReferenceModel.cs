using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Numbers that another implementation computed in float32 from a fixture model.</summary>
internal sealed class ReferenceModel : IDisposable
{
    private readonly SafetensorsFile _file;
    private readonly JsonElement _json;

    public ReferenceModel(string name)
    {
        Name = name;
        _file = SafetensorsFile.Open(RepositoryFiles.Fixture("reference", name + ".safetensors"));
        _json = JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", name + ".json"))).RootElement;
    }

    public static string[] Names { get; } = ["tiny-dense", "tiny-moe"];

    public string Name { get; }

    public string Folder => RepositoryFiles.Fixture("models", Name);

    public int PromptCount => _json.GetProperty("prompts").GetArrayLength();

    public double Perplexity => _json.GetProperty("perplexity").GetProperty("perplexity").GetDouble();

    public string PromptText(int prompt) => _json.GetProperty("prompts")[prompt].GetProperty("text").GetString()!;

    public string GreedyText(int prompt) => _json.GetProperty("prompts")[prompt].GetProperty("greedy_text").GetString()!;

    public int[] Prompt(int prompt) => Integers($"prompt{prompt}.input_ids");

    public int[] Greedy(int prompt) => Integers($"prompt{prompt}.greedy_ids");

    public int[] PerplexityTokens() => Integers("ppl.input_ids");

    public double[] WindowSums()
    {
        SafetensorsTensor tensor = Find("ppl.window_nll");
        var values = new double[tensor.Shape[0]];
        Buffer.BlockCopy(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray(), 0, values, 0, (int)tensor.ByteCount);
        return values;
    }

    public float[] Logits(int prompt)
    {
        SafetensorsTensor tensor = Find($"prompt{prompt}.logits");
        var values = new float[tensor.Shape[0] * tensor.Shape[1]];
        Buffer.BlockCopy(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray(), 0, values, 0, (int)tensor.ByteCount);
        return values;
    }

    public void Dispose() => _file.Dispose();

    private int[] Integers(string name)
    {
        SafetensorsTensor tensor = Find(name);
        var values = new long[tensor.Shape[0]];
        Buffer.BlockCopy(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray(), 0, values, 0, (int)tensor.ByteCount);
        return [.. values.Select(value => (int)value)];
    }

    private SafetensorsTensor Find(string name) =>
        _file.TryGet(name, out SafetensorsTensor? tensor) ? tensor : throw new KeyNotFoundException(name);
}
