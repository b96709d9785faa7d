using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Matmul;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>The trained dense model, with quantized weights, a template that takes tools, and results that do not depend on what shares a step.</summary>
internal static class TestModel
{
    private const string Hermes = "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        + "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    /// <summary>Writes it into a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="template">Its chat template.</param>
    public static void Write(TemporaryFolder folder, string template = Hermes)
    {
        using var source = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-dense"));
        ModelConverter.Convert(QuantizationPlan.Uniform(source, QuantCodec.Get(QuantFormat.Q4_K)), folder["model"]);
        string path = folder["model/tokenizer_config.json"];
        JsonNode config = JsonNode.Parse(File.ReadAllText(path))!;
        config["chat_template"] = template;
        File.WriteAllText(path, config.ToJsonString());
    }

    /// <summary>Loads it.</summary>
    public static LanguageModel Load(TemporaryFolder folder, int chunkSize = 512) => LanguageModel.Load(
        folder["model"], new ModelOptions { Matmul = new MatmulOptions { Deterministic = true }, ChunkSize = chunkSize });
}
