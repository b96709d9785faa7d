using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.Models.Templates;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Damaged models load or are refused with the exceptions that are promised, and nothing is allocated for what they claim.</summary>
public class MutationTests
{
    private const int Cases = 100;
    private const long AllocatedBytes = 256 << 20;

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void Configs([Values("llama3", "mistral", "mixtral", "qwen2", "qwen3-moe", "gemma2", "gemma3", "phi3-longrope")] string name)
    {
        string model = RandomCheckpoint.Create(name).Write(_folder[name]);
        Try(Path.Combine(model, "config.json"), int.MaxValue, name.Length, () =>
        {
            foreach (ModelConventions conventions in (ModelConventions[])[ModelConventions.HuggingFace, ModelConventions.LlamaCpp])
            {
                using LanguageModel loaded = LanguageModel.Load(model, new ModelOptions { LoadTokenizer = false, Conventions = conventions });
            }
        });
    }

    [Test]
    public void TokenizersAndTemplates([Values("llama3", "mistral")] string name, [Values("tokenizer.json", "tokenizer_config.json")] string file)
    {
        string model = RandomCheckpoint.Create(name).Write(_folder[name]);

        // Its special tokens follow the others, as in an embedding of this size.
        TinyTokenizer.Write(model, name == "mistral" ? TokenizerKind.SentencePiece : TokenizerKind.Llama3, size: 271);
        Try(Path.Combine(model, file), int.MaxValue, file.Length, () =>
        {
            var tokenizer = Tokenizer.Load(model);
            tokenizer.Decode(tokenizer.Encode("The hello ab's 12\n<s><note>"));
            _ = ChatTemplate.Load(model)?.Render([new TemplateMessage("user", "Hi")]);
        });
    }

    /// <summary>What an export reads of a checkpoint: the model is refused in a sentence, or becomes the metadata of a GGUF.</summary>
    [Test]
    public void Exports(
        [Values("llama3", "mistral")] string name,
        [Values("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json")] string file)
    {
        string model = RandomCheckpoint.Create(name).Write(_folder[name]);
        File.WriteAllText(
            Path.Combine(model, "generation_config.json"),
            """{ "bos_token_id": 1, "eos_token_id": [2, 3], "temperature": 0.6, "top_k": 20, "top_p": 0.95, "do_sample": true }""");
        Try(Path.Combine(model, file), int.MaxValue, name.Length + file.Length, () =>
        {
            try
            {
                using var export = GgufExport.Create(ModelFolder.Open(model));
                Assert.That(export.Metadata, Is.Not.Empty);
            }
            catch (NotSupportedException exception)
            {
                Assert.That(exception.Message, Does.Contain(model).And.Not.Contains("System."));
            }
        });
    }

    /// <summary>A whole folder, loaded, with each of its small files damaged in turn; an adapter's is there, but no part of the model.</summary>
    [Test]
    public void Folders(
        [Values("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json", "special_tokens_map.json", "adapter_config.json")] string file)
    {
        string model = RandomCheckpoint.Create("llama3").Write(_folder["model"]);
        TinyTokenizer.Write(model, TokenizerKind.Llama3, size: 271);
        foreach ((string name, string text) in ((string, string)[])
            [
                ("generation_config.json", """{ "bos_token_id": 1, "eos_token_id": [2, 3], "temperature": 0.6, "top_k": 20, "top_p": 0.95, "do_sample": true }"""),
                ("special_tokens_map.json", """{ "bos_token": { "content": "<s>", "lstrip": false, "normalized": false }, "eos_token": "</s>", "additional_special_tokens": ["<note>"] }"""),
                ("adapter_config.json", """{ "peft_type": "LORA", "r": 8, "lora_alpha": 16.0, "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "org/model" }"""),
            ])
        {
            File.WriteAllText(Path.Combine(model, name), text);
        }

        Try(Path.Combine(model, file), int.MaxValue, file.Length, () =>
        {
            using (ModelFolder folder = ModelFolder.Open(model))
            {
                Assert.That(folder.Tensors, Is.Not.Empty);
            }

            using LanguageModel loaded = LanguageModel.Load(model);
            loaded.Tokenizer.Decode(loaded.Tokenizer.Encode("The hello ab's 12"));
            _ = loaded.ChatTemplate?.Render([new TemplateMessage("user", "Hi")]);
        });
    }

    /// <summary>Values of another kind than a file has, at every place of the JSON in turn.</summary>
    [Test]
    public void ExportsOfTokenizersOfAnotherShape(
        [Values("llama3", "mistral")] string name, [Values("tokenizer.json", "tokenizer_config.json")] string file)
    {
        string model = RandomCheckpoint.Create(name).Write(_folder[name]), path = Path.Combine(model, file);
        string original = File.ReadAllText(path);
        foreach (string place in Places(JsonNode.Parse(original)!, "").Where(place => !place.StartsWith("/model/vocab/", StringComparison.Ordinal)))
        {
            foreach (string value in (string[])["7", "[1]", "{\"a\": 1}"])
            {
                JsonNode root = JsonNode.Parse(original)!;
                Replace(root, place.Split('/').AsSpan(1), JsonNode.Parse(value));
                File.WriteAllText(path, root.ToJsonString());
                try
                {
                    using var export = GgufExport.Create(ModelFolder.Open(model));
                }
                catch (Exception exception) when (exception is ModelFormatException or NotSupportedException)
                {
                    Assert.That(exception.Message, Does.Contain(model), $"{place}: {value}");
                }
                catch (Exception exception)
                {
                    Assert.Fail($"{place}: {value}: {exception}");
                }
            }
        }
    }

    [Test]
    public void GgufFiles([Values("llama3", "mistral", "mixtral", "gemma3", "phi3-longrope")] string name)
    {
        string path = _folder["model.gguf"];
        using (var export = GgufExport.Create(ModelFolder.Open(RandomCheckpoint.Create(name).Write(_folder[name]))))
        {
            ModelConverter.Convert(QuantizationPlan.Dequantize(export, QuantCodec.Get(QuantFormat.BF16)), path);
        }

        int header;
        using (GgufFile file = GgufFile.Open(path))
        {
            header = (int)file.Tensors.Min(tensor => tensor.Offset);
        }

        Try(path, header, name.Length, () =>
        {
            using LanguageModel loaded = LanguageModel.Load(path);
            loaded.Tokenizer.Decode(loaded.Tokenizer.Encode("The hello ab's 12\n<s><note>"));
            _ = loaded.ChatTemplate?.Render([new TemplateMessage("user", "Hi")]);
        });
    }

    /// <summary>Chat templates, pieces of which are damaged, repeated and put together.</summary>
    [Test]
    public void Templates()
    {
        JsonNode cases = ReadCases("jinja-cases.json"), more = ReadCases("jinja-fuzz.json");
        JsonObject context = more["context"]!.AsObject();
        string[] sources = [.. new[] { cases["cases"]!, cases["python_cases"]!, more["cases"]! }
            .SelectMany(list => list.AsArray()).Select(entry => entry!["template"]!.GetValue<string>())];
        var random = new Random(7);
        for (int i = 0; i < 20 * Cases; i++)
        {
            byte[] source = [.. random.GetItems(sources, random.Next(1, 4)).SelectMany(Encoding.UTF8.GetBytes)];
            string damaged = Encoding.UTF8.GetString(Mutation.Apply(random, source, startsWithLength: false));
            long before = GC.GetTotalAllocatedBytes();
            try
            {
                _ = ChatTemplate.Parse(damaged).RenderPlain(context);
            }
            catch (TemplateException exception)
            {
                Assert.That(exception.Message, Is.Not.Empty);
            }
            catch (Exception exception)
            {
                Assert.Fail($"{damaged}: {exception}");
            }

            Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(2 * AllocatedBytes), damaged);
        }

        static JsonNode ReadCases(string file) => JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", file)))!;
    }

    private static IEnumerable<string> Places(JsonNode? node, string place) => node switch
    {
        JsonObject members => members.SelectMany(member => Places(member.Value, $"{place}/{member.Key}").Prepend($"{place}/{member.Key}")),
        JsonArray { Count: < 10 } items => items.SelectMany((item, i) => Places(item, $"{place}/{i}").Prepend($"{place}/{i}")),
        _ => [],
    };

    private static void Replace(JsonNode node, ReadOnlySpan<string> place, JsonNode? value)
    {
        while (place.Length > 1)
        {
            node = node is JsonArray array ? array[int.Parse(place[0], CultureInfo.InvariantCulture)]! : node[place[0]]!;
            place = place[1..];
        }

        if (node is JsonArray items)
        {
            items[int.Parse(place[0], CultureInfo.InvariantCulture)] = value;
        }
        else
        {
            node[place[0]] = value;
        }
    }

    /// <summary>Damages the beginning of a file again and again.</summary>
    private static void Try(string path, int length, int seed, Action load)
    {
        var random = new Random(seed);
        byte[] original = File.ReadAllBytes(path);
        length = Math.Min(length, original.Length);
        Assert.That(load, Throws.Nothing, "undamaged");
        for (int i = 0; i < Cases; i++)
        {
            byte[] damaged = [.. Mutation.Apply(random, original.AsSpan(0, length), startsWithLength: false), .. original.AsSpan(length)];
            File.WriteAllBytes(path, damaged);
            long before = GC.GetTotalAllocatedBytes();
            try
            {
                load();
            }
            catch (Exception exception) when (exception is ModelFormatException or TemplateException)
            {
                Assert.That(exception.Message, Is.Not.Empty);
            }
            catch (Exception exception)
            {
                Assert.Fail($"case {i}: {exception}");
            }

            Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(AllocatedBytes), $"case {i}");
        }
    }
}
