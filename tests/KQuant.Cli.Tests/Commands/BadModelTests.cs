using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>Models that cannot be run: every command that runs one says why in the same sentence, and nothing is made of what the file claims.</summary>
public class BadModelTests
{
    private const string Name = "qwen3";

    /// <summary>What a refusal may allocate: reading the header and the config takes a few megabytes.</summary>
    private const long AllocatedBytes = 64 << 20;

    private static readonly string[][] Runs =
    [
        ["run", "--prompt", "the"],
        ["chat"],
        ["perplexity", "--file", RepositoryFiles.Fixture("README.md")],
        ["logits", "--prompt", "the", "--output", "never.npy"],
    ];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("model_type", "\"gpt_neox\"", "'model_type' is 'gpt_neox', which is not supported; known are llama, mistral, ")]
    [TestCase("model_type", "null", "the required key 'model_type' is missing")]
    [TestCase("model_type", "7", "'model_type' is 7 and should be a string")]
    [TestCase("hidden_size", null, "the required key 'hidden_size' is missing")]
    [TestCase("hidden_size", "0", "'hidden_size' is 0 and should be a whole number above 0")]
    [TestCase("hidden_size", "1099511627776", "'hidden_size' is 1099511627776 and should be a whole number above 0")]
    [TestCase("hidden_size", "1073741824", "the width between layers is 1073741824; at most 1048576 is taken")]
    [TestCase("num_attention_heads", null, "the required key 'num_attention_heads' is missing")]
    [TestCase("num_attention_heads", "-4", "'num_attention_heads' is -4 and should be a whole number above 0")]
    [TestCase("num_attention_heads", "4.5", "'num_attention_heads' is 4.5 and should be a whole number above 0")]
    [TestCase("num_attention_heads", "\"four\"", "'num_attention_heads' is \"four\" and should be a whole number above 0")]
    [TestCase("num_attention_heads", "1073741824", "the width of all heads is 137438953472; at most 67108864 is taken")]
    [TestCase("num_attention_heads", "6", "tensor 'model.layers.0.self_attn.q_proj.weight': the shape is [512, 256] and should be [768, 256]")]
    [TestCase("num_key_value_heads", "3", "'num_attention_heads' 4 is no multiple of 'num_key_value_heads' 3")]
    [TestCase("head_dim", "1073741824", "the width of all heads is 4294967296")]
    [TestCase("head_dim", "127", "'partial_rotary_factor' 1 makes 127 of 127 values rotate, which is no even number of them")]
    [TestCase("num_hidden_layers", "2147483647", "'num_hidden_layers' is 2147483647; at most 10000 layers are taken")]
    [TestCase("num_hidden_layers", "3", "tensor 'model.layers.2.input_layernorm.weight': the tensor is missing")]
    [TestCase("intermediate_size", null, "the required key 'intermediate_size' is missing")]
    [TestCase("intermediate_size", "2147483647", "the width of feed-forward layers is 2147483647")]
    [TestCase("vocab_size", null, "the required key 'vocab_size' is missing")]
    [TestCase("vocab_size", "2147483647", "the number of tokens is 2147483647; at most 16777216 is taken")]
    [TestCase("max_position_embeddings", "1e300", "'max_position_embeddings' is 1e300 and should be a whole number above 0")]
    [TestCase("rms_norm_eps", "\"1e-6\"", "'rms_norm_eps' is \"1e-6\" and should be a number")]
    [TestCase("rms_norm_eps", "-1", "the epsilon of norms is -1, which is negative")]
    [TestCase("rope_theta", "0", "the base of rotary frequencies is 0 and should be above 0")]
    [TestCase("rope_scaling", "[1]", "'rope_scaling' is [1] and should be an object")]
    [TestCase("rope_scaling", """{"rope_type": "spiral"}""", "'rope_type' is 'spiral', which is not supported; known are default, linear, ")]
    [TestCase("rope_scaling", """{"rope_type": "yarn"}""", "the required key 'factor' of rope kind 'yarn' is missing or not above 0")]
    [TestCase("hidden_act", "\"relu\"", "'hidden_act' is 'relu', which is not supported; known are silu")]
    [TestCase("tie_word_embeddings", "\"yes\"", "'tie_word_embeddings' is \"yes\" and should be true or false")]
    [TestCase("eos_token_id", "[1, \"x\"]", "'eos_token_id' is \"x\" and should be a token id")]
    public void AConfigThatCannotBe(string key, string? value, string message)
    {
        string model = WriteFolder(config =>
        {
            config.Remove(key);
            if (value is not null)
            {
                config[key] = JsonNode.Parse(value);
            }
        });
        RefusesAll(model, message, message.StartsWith("tensor", StringComparison.Ordinal) || message.StartsWith("the ", StringComparison.Ordinal) ? model : "config.json");
    }

    [TestCase("{", "the file is not valid JSON")]
    [TestCase("[]", "the file holds no JSON object")]
    [TestCase("""{"model_type": "\ud800"}""", "the file is not valid JSON")]
    public void AConfigThatIsNone(string config, string message)
    {
        string model = WriteFolder();
        File.WriteAllText(Path.Combine(model, "config.json"), config);
        RefusesAll(model, message, "config.json");
    }

    [Test]
    public void AConfigThatIsNoUtf8()
    {
        string model = WriteFolder();
        File.WriteAllBytes(Path.Combine(model, "config.json"), [.. "{\"a\": \""u8, 0xFF, .. "\"}"u8]);
        RefusesAll(model, "config.json: the file is not valid UTF-8", model);
    }

    [TestCase("model.layers.1.self_attn.k_proj.weight", "the tensor is missing")]
    [TestCase("model.layers.1.mlp.down_proj.weight", "the tensor is missing")]
    [TestCase("model.layers.0.self_attn.q_norm.weight", "the tensor is missing")]
    [TestCase("model.norm.weight", "the tensor is missing")]
    [TestCase("model.embed_tokens.weight", "the tensor is missing")]
    public void ATensorThatIsMissing(string name, string message)
    {
        string model = WriteFolder();
        RewriteSafetensors(model, tensor => tensor.Name == name ? null : tensor);
        RefusesAll(model, $"tensor '{name}': {message}", model);
    }

    [TestCase("model.layers.1.self_attn.k_proj.weight", new long[] { 256, 512 }, "the shape is [256, 512] and should be [256, 256]")]
    [TestCase("model.layers.1.mlp.down_proj.weight", new long[] { 512, 256 }, "the shape is [512, 256] and should be [256, 512]")]
    [TestCase("model.layers.0.input_layernorm.weight", new long[] { 255 }, "the shape is [255] and should be [256]")]
    [TestCase("model.layers.0.input_layernorm.weight", new long[] { 0 }, "the shape is")]
    public void ATensorOfAnotherShape(string name, long[] shape, string message)
    {
        string model = WriteFolder();
        RewriteSafetensors(model, tensor => tensor.Name == name ? tensor with { Shape = shape, Bytes = new byte[2 * shape.Aggregate(1L, (a, b) => a * b)] } : tensor);
        RefusesAll(model, message, $"tensor '{name}'");
    }

    [Test]
    public void ATensorOfIntegers()
    {
        string model = WriteFolder();
        RewriteSafetensors(model, tensor => tensor.Name == "model.norm.weight" ? tensor with { Type = ElementType.I16 } : tensor);
        RefusesAll(model, "format i16 cannot be computed with; known are q2_k, ", "tensor 'model.norm.weight'");
    }

    [Test]
    public void ATensorThatIsNotFinite()
    {
        string model = WriteFolder();
        RewriteSafetensors(model, tensor => tensor.Name == "model.norm.weight" ? tensor with { Bytes = [.. Enumerable.Repeat((byte)0xFF, 512)] } : tensor);
        RefusesAll(model, "a value is NaN", "tensor 'model.norm.weight'");
    }

    [TestCase(0, "the file has 0 bytes, too few for the header length")]
    [TestCase(100, "header")]
    [TestCase(-1, "data_offsets")]
    public void ASafetensorsFileThatIsCutOff(int length, string message)
    {
        string model = WriteFolder();
        string file = Path.Combine(model, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(file);
        File.WriteAllBytes(file, length < 0 ? bytes[..^1] : bytes[..length]);
        RefusesAll(model, message, "model.safetensors");
    }

    [Test]
    public void FilesThatAreMissing()
    {
        string model = WriteFolder();
        File.Delete(Path.Combine(model, "tokenizer.json"));
        RefusesAll(model, "the folder has no tokenizer.json", model);
        File.Delete(Path.Combine(model, "model.safetensors"));
        RefusesAll(model, "the folder has neither model.safetensors.index.json nor model*.safetensors", model);
        model = WriteFolder();
        File.Delete(Path.Combine(model, "config.json"));
        RefusesAll(model, "is neither a checkpoint folder with a config.json nor a GGUF file", model);
        RefusesAll(_folder["none"], "there is no such file or folder", "none");
        RefusesAll(_folder.Write("text.gguf", "hello, this is no model at all"), "text.gguf", "text.gguf");
    }

    [TestCase("""{"model": {"type": "BPE", "merges": []}}""", "model.vocab is missing")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {}, "merges": []}}""", "model.vocab is empty")]
    [TestCase("""{"model": {"type": "Unigram", "vocab": []}}""", "model.vocab is empty")]
    [TestCase("{}", "model is missing")]
    public void ATokenizerWithoutAVocabulary(string json, string message)
    {
        string model = WriteFolder();
        File.WriteAllText(Path.Combine(model, "tokenizer.json"), json);
        RefusesAll(model, message, "tokenizer.json");
        Cli.RunWith("the\n", "tokenize", "--model", model).MustFail(message);
    }

    [Test]
    public void ATokenizerThatHasNoTokenForTheText()
    {
        string model = WriteFolder();
        File.WriteAllText(Path.Combine(model, "tokenizer.json"), """{"model": {"type": "BPE", "vocab": {"a": 0, "b": 5000}, "merges": []}}""");
        Cli.Run("run", "--raw", "--model", model, "--prompt", "xyz").MustFail("The text has no tokens to start from");
        Cli.Run("run", "--raw", "--model", model, "--prompt", "ab").MustFail("Token 1 is 5000; the vocabulary has 320 tokens");
    }

    [TestCase("general.architecture", null, "the required key 'general.architecture' is missing")]
    [TestCase("general.architecture", "gpt-9", "architecture 'gpt-9' is not supported; known are llama, ")]
    [TestCase("qwen3.embedding_length", null, "the required key 'qwen3.embedding_length' is missing or 0")]
    [TestCase("qwen3.embedding_length", "wide", "'qwen3.embedding_length' is no whole number from 0 to 2147483647")]
    [TestCase("qwen3.block_count", 0L, "the required key 'qwen3.block_count' is missing or 0")]
    [TestCase("qwen3.block_count", 1L << 31, "'qwen3.block_count' is no whole number from 0 to 2147483647")]
    [TestCase("qwen3.block_count", 2_000_000_000L, "'qwen3.block_count' is 2000000000; at most 10000 layers are taken")]
    [TestCase("qwen3.block_count", 3L, "tensor 'blk.2.attn_norm.weight': the tensor is missing")]
    [TestCase("qwen3.attention.head_count", -4L, "'qwen3.attention.head_count' is no whole number from 0 to 2147483647")]
    [TestCase("qwen3.attention.head_count", 1L << 40, "'qwen3.attention.head_count' is no whole number from 0 to 2147483647")]
    [TestCase("qwen3.attention.head_count_kv", 3L, "4 heads of 128 do not share 3 key and value heads evenly")]
    [TestCase("qwen3.attention.key_length", 1L << 30, "values of 128 beside keys of 1073741824 are not supported")]
    [TestCase("qwen3.attention.layer_norm_rms_epsilon", null, "the required key 'qwen3.attention.layer_norm_rms_epsilon' is missing")]
    [TestCase("qwen3.attention.layer_norm_rms_epsilon", -1.0, "the epsilon of norms is -1, which is negative")]
    [TestCase("qwen3.rope.freq_base", -1.0, "the base of rotary frequencies is -1 and should be above 0")]
    [TestCase("qwen3.rope.dimension_count", 129L, "qwen3.rope.dimension_count is 129, which is no even part of a head of 128")]
    [TestCase("qwen3.rope.scaling.type", "spiral", "'qwen3.rope.scaling.type' is 'spiral', which is not supported; known are none, linear, yarn, longrope")]
    [TestCase("qwen3.feed_forward_length", 2147483647L, "the width of feed-forward layers is 2147483647")]
    [TestCase("qwen3.context_length", 0L, "the required key 'qwen3.context_length' is missing or 0")]
    [TestCase("tokenizer.ggml.model", null, "the file has no tokenizer: key 'tokenizer.ggml.model' is missing")]
    [TestCase("tokenizer.ggml.model", "bert", "tokenizer.ggml.model is 'bert', which is not supported; gpt2, llama and gemma4 are")]
    [TestCase("tokenizer.ggml.tokens", null, "tokenizer.ggml.tokens")]
    [TestCase("tokenizer.ggml.pre", "rot13", "tokenizer.ggml.pre is 'rot13', which is not supported; the kinds are a.x-4.0, ")]
    [TestCase("tokenizer.chat_template", "{% for a in %}", "chat template, line 1: expected an expression")]
    public void GgufMetadataThatCannotBe(string key, object? value, string message) => RefusesAll(
        WriteGguf(metadata =>
        {
            metadata.Remove(key);
            switch (value)
            {
                case string text: metadata.Set(key, GgufValue.From(text)); break;
                case long number: metadata.Set(key, GgufValue.From(number)); break;
                case double number: metadata.Set(key, GgufValue.From((float)number)); break;
            }
        }),
        message,
        key == "tokenizer.chat_template" ? "chat template" : ".gguf");

    [Test]
    public void AGgufWithoutATensorOrWithOneOfAnotherShape()
    {
        RefusesAll(
            WriteGguf(_ => { }, tensor => tensor.Name == "blk.1.attn_k.weight" ? null : tensor), "tensor 'blk.1.attn_k.weight': the tensor is missing", ".gguf");
        RefusesAll(
            WriteGguf(_ => { }, tensor => tensor.Name == "blk.1.attn_k.weight" ? tensor with { Shape = [512, 128] } : tensor),
            "tensor 'blk.1.attn_k.weight': the shape is [128, 512] and should be [256, 256]",
            ".gguf");
    }

    [TestCase(3)]
    [TestCase(24)]
    [TestCase(2000)]
    [TestCase(-1)]
    public void AGgufThatIsCutOff(int length)
    {
        string model = WriteGguf(_ => { });
        byte[] bytes = File.ReadAllBytes(model);
        File.WriteAllBytes(model, length < 0 ? bytes[..^1] : bytes[..length]);
        RefusesAll(model, ".gguf", ".gguf");
    }

    private static void RefusesAll(string model, string message, string place)
    {
        Assert.Multiple(() =>
        {
            foreach (string[] run in Runs)
            {
                long before = GC.GetTotalAllocatedBytes();
                Cli.RunWith("", [run[0], "--model", model, .. run[1..]]).MustFail(message).MustFail(place);
                Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(AllocatedBytes), run[0]);
            }
        });
        Assert.That(File.Exists("never.npy"), Is.False);
    }

    private string WriteFolder(Action<JsonObject>? change = null)
    {
        var checkpoint = RandomCheckpoint.Create(Name);
        change?.Invoke(checkpoint.Config);
        string model = checkpoint.Write(_folder["model"]);
        TinyTokenizer.Write(model, TokenizerKind.SentencePiece, size: 320);
        return model;
    }

    /// <summary>Writes the weights of a folder again, changed.</summary>
    private static void RewriteSafetensors(string model, Func<Stored, Stored?> change)
    {
        string path = Path.Combine(model, "model.safetensors");
        var writer = new SafetensorsWriter();
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                if (change(new Stored(tensor.Name, [.. tensor.Shape], tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray(), tensor.ElementType)) is { } stored)
                {
                    writer.Add(stored.Name, stored.Type, stored.Shape, stored.Bytes);
                }
            }
        }

        writer.Write(path);
    }

    /// <summary>The model as GGUF, with other metadata and tensors.</summary>
    private string WriteGguf(Action<GgufMetadata> changeMetadata, Func<Stored, Stored?>? change = null)
    {
        string whole = _folder["whole.gguf"];
        using (var export = GgufExport.Create(ModelFolder.Open(RandomCheckpoint.Create(Name).Write(_folder["source"]))))
        {
            ModelConverter.Convert(QuantizationPlan.Dequantize(export, QuantCodec.Get(QuantFormat.BF16)), whole, new ConversionOptions { Overwrite = true });
        }

        using GgufFile file = GgufFile.Open(whole);
        var writer = new GgufWriter(file.Metadata);
        changeMetadata(writer.Metadata);
        foreach (GgufTensor tensor in file.Tensors)
        {
            if ((change ?? (same => same))(new Stored(tensor.Name, [.. tensor.Dimensions], tensor.UnsafeGetBytes().ToArray(), default)) is { } stored)
            {
                writer.Add(stored.Name, stored.Shape, tensor.Type!, stored.Bytes);
            }
        }

        writer.Write(_folder["model.gguf"]);
        return _folder["model.gguf"];
    }

    private sealed record Stored(string Name, long[] Shape, byte[] Bytes, ElementType Type);
}
