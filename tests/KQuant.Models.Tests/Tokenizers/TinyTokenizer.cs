using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Tokenizers;

/// <summary>The tokenizer of the trained tiny model, with parts replaced.</summary>
internal static class TinyTokenizer
{
    public static string Json => File.ReadAllText(RepositoryFiles.Fixture("models", "tiny-dense", "tokenizer.json"));

    public static Tokenizer With(JsonNode? normalizer, JsonNode? preTokenizer) => Change(json =>
    {
        json["normalizer"] = normalizer?.DeepClone();
        json["pre_tokenizer"] = preTokenizer?.DeepClone();
    });

    public static Tokenizer Change(Action<JsonObject> change)
    {
        JsonObject json = JsonNode.Parse(Json)!.AsObject();
        change(json);
        return Load(json.ToJsonString());
    }

    public static Tokenizer Load(string json)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["tokenizer.json"], json);
        return Tokenizer.Load(folder["tokenizer.json"]);
    }
}
