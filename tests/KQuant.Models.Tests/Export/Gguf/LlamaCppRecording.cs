using System.Text.Json;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary>What llama.cpp computed for files written here: <c>fixtures/reference/llama-cpp.json</c>.</summary>
internal static class LlamaCppRecording
{
    private static readonly JsonElement Root =
        JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", "llama-cpp.json"))).RootElement;

    /// <summary>Where files for a new recording go; null in an ordinary run.</summary>
    public static string? Folder { get; } = Environment.GetEnvironmentVariable("KQUANT_RECORDING");

    public static int[] Prompt { get; } = Integers(Root.GetProperty("prompt"));

    public static string[] Lines { get; } = [.. Root.GetProperty("lines").EnumerateArray().Select(line => line.GetString()!)];

    /// <summary>Probabilities of the tokens that follow in the prompt, then the best ones behind its end.</summary>
    public static (double[] Next, (int Id, double Probability)[] Top) Checkpoint(string name)
    {
        JsonElement recorded = Root.GetProperty("checkpoints").GetProperty(name);
        return (
            [.. recorded.GetProperty("next").EnumerateArray().Select(value => value.GetDouble())],
            [.. recorded.GetProperty("top").EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetDouble()))]);
    }

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetInt32())];
}
