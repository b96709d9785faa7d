using System.Reflection;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Configuration;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary>
/// A checkpoint folder and the GGUF made from it are one configuration: what is read from either is the same, field by field, and what one
/// way refuses the other refuses too.
/// </summary>
public class ConfigRoundTripTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void EveryFamilyThatIsExportedIsTested() => Assert.That(
        RandomCheckpoint.Names.Select(name => (string)RandomCheckpoint.Create(name).Config["model_type"]!).Distinct(),
        Is.EquivalentTo(ModelFamily.With(FamilySupport.Export).Select(family => family.ModelType)));

    [Test]
    public void EveryFieldIsCompared()
    {
        string[] names =
        [
            .. Properties(typeof(ModelConfig))
                .Except([nameof(ModelConfig.Rope), nameof(ModelConfig.LocalRope), nameof(ModelConfig.Experts), nameof(ModelConfig.ActiveWeights)])
                .Except([nameof(ModelConfig.BosId), nameof(ModelConfig.EosIds)]),
            .. Properties(typeof(RopeConfig)).SelectMany(name => (string[])[$"Rope.{name}", $"LocalRope.{name}"]),
            .. Properties(typeof(ExpertConfig)).Select(name => $"Experts.{name}"),
        ];
        var rope = new RopeConfig { Dimensions = 2 };
        ModelConfig config = Read(RandomCheckpoint.Create("llama"), ModelConventions.LlamaCpp) with
        {
            LocalRope = rope,
            Experts = new ExpertConfig { Count = 1, PerToken = 1, IntermediateSize = 1 },
        };
        Assert.That(ConfigFields.List(config).Select(field => field.Name), Is.EquivalentTo(names));

        static IEnumerable<string> Properties(Type type) =>
            type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property => property.Name);
    }

    [Test]
    public void TheFolderAndTheGgufAreOneConfiguration(
        [ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name,
        [Values(ModelConventions.HuggingFace, ModelConventions.LlamaCpp)] ModelConventions conventions)
    {
        string path = RandomCheckpoint.Create(name).Write(_folder["model"]), gguf = _folder["model.gguf"];
        using (var export = GgufExport.Create(ModelFolder.Open(path)))
        {
            ModelConverter.Convert(QuantizationPlan.Keep(export), gguf);
        }

        using ModelSource folder = ModelSource.Open(path), file = ModelSource.Open(gguf);
        ModelConfig expected = ModelConfig.Read(folder, conventions), actual = ModelConfig.Read(file, conventions);

        // How weights are stored differs: the order of rows that are rotated, norms with one added, Llama 3's scaling as its divisors.
        ModelFamily.TryGetGguf(expected.Architecture, out ModelFamily? family);
        bool isInterleaved = family!.InterleavedInGguf;
        Assert.That((actual.InterleavedRope, actual.NormsAddOne), Is.EqualTo((isInterleaved, false)));
        if (expected.Rope.Kind == RopeKind.Llama3)
        {
            Assert.That(actual.Rope.ShortDivisors.ToArray(), Is.EqualTo(Llama3Divisors.Compute(expected.Rope).ToArray()));
            expected = expected with
            {
                Rope = new RopeConfig
                {
                    Kind = RopeKind.Divisors,
                    Theta = expected.Rope.Theta,
                    Dimensions = expected.Rope.Dimensions,
                    ShortDivisors = actual.Rope.ShortDivisors,
                },
            };
        }

        Assert.Multiple(() =>
        {
            Assert.That(
                ConfigFields.List(actual), Is.EqualTo(ConfigFields.List(expected with { InterleavedRope = isInterleaved, NormsAddOne = false })));
            Assert.That(actual.BosId, Is.EqualTo(expected.BosId ?? actual.BosId));
        });
    }

    [TestCase("llama", "rms_norm_eps", "\"1e-5\"", "'rms_norm_eps' is \"1e-5\" and should be a number")]
    [TestCase("llama", "rope_theta", "\"500000\"", "'rope_theta' is \"500000\" and should be a number")]
    [TestCase("llama", "hidden_size", "\"256\"", "'hidden_size' is \"256\" and should be a whole number above 0")]
    [TestCase("llama", "hidden_size", null, "the required key 'hidden_size' is missing")]
    [TestCase("llama", "num_attention_heads", "null", "the required key 'num_attention_heads' is missing")]
    [TestCase("llama", "num_hidden_layers", "2.5", "'num_hidden_layers' is 2.5 and should be a whole number above 0")]
    [TestCase("llama", "num_key_value_heads", "[2, 2]", "'num_key_value_heads' is [2,2] and should be a whole number above 0")]
    [TestCase("llama", "head_dim", "\"64\"", "'head_dim' is \"64\" and should be a whole number above 0")]
    [TestCase("llama", "tie_word_embeddings", "\"true\"", "'tie_word_embeddings' is \"true\" and should be true or false")]
    [TestCase("llama", "attention_bias", "1", "'attention_bias' is 1 and should be true or false")]
    [TestCase("llama", "rope_scaling", "[]", "'rope_scaling' is [] and should be an object")]
    [TestCase("llama", "rope_scaling", """{"type":"linear","factor":"4"}""", "'factor' is \"4\" and should be a number")]
    [TestCase("llama", "rope_scaling", """{"type":"linear"}""", "the required key 'factor' of rope kind 'linear' is missing or not above 0")]
    [TestCase("llama", "rope_scaling", """{"type":3}""", "'type' is 3 and should be a string")]
    [TestCase("llama", "rope_scaling", """{"type":"spiral"}""", "'rope_type' is 'spiral', which is not supported")]
    [TestCase("llama", "rope_parameters", """{"full_attention":"x"}""", "'full_attention' is \"x\" and should be an object")]
    [TestCase("qwen3", "hidden_act", "\"gelu\"", "'hidden_act' is 'gelu', which is not supported; known are silu")]
    [TestCase("qwen3", "hidden_act", "7", "'hidden_act' is 7 and should be a string")]
    [TestCase("qwen3", "max_position_embeddings", "\"long\"", "'max_position_embeddings' is \"long\" and should be a whole number above 0")]
    [TestCase("qwen3", "layer_types", "\"full\"", "")]
    [TestCase("glm4-moe", "n_shared_experts", "2147483647", "the width of the shared expert is 2147483647; at most 67108864 is taken")]
    [TestCase("glm4-moe", "n_group", "4", "'n_group' is '4', which is not supported; known are 1")]
    [TestCase("glm4-moe", "num_experts_per_tok", "5", "'num_experts_per_tok' is 5, but there are 4 experts")]
    [TestCase("gpt-oss", "swiglu_limit", "8", "'swiglu_limit' is '8', which is not supported; known are 7")]
    [TestCase("gpt-oss", "layer_types", "[\"full_attention\"]", "'layer_types' has 1 entries for 4 layers")]
    [TestCase("smollm3", "no_rope_layers", "[1, 0]", "'no_rope_layers' has 2 entries for 5 layers")]
    [TestCase("smollm3", "use_sliding_window", "true", "'use_sliding_window' is 'true', which is not supported")]
    [TestCase("granite", "position_embedding_type", "\"alibi\"", "'position_embedding_type' is 'alibi', which is not supported; known are rope, nope")]
    [TestCase("qwen3-moe", "num_experts_per_tok", "5", "'num_experts_per_tok' is 5, but there are 4 experts")]
    [TestCase("qwen3-moe", "norm_topk_prob", "\"yes\"", "'norm_topk_prob' is \"yes\" and should be true or false")]
    [TestCase("qwen3-moe", "mlp_only_layers", "\"0\"", "'mlp_only_layers' is \"0\" and should be a token id")]
    [TestCase("gemma2", "sliding_window", "\"8\"", "'sliding_window' is \"8\" and should be a whole number above 0")]
    [TestCase("gemma2", "attn_logit_softcapping", "\"50\"", "'attn_logit_softcapping' is \"50\" and should be a number")]
    [TestCase("gemma2", "query_pre_attn_scalar", "\"64\"", "'query_pre_attn_scalar' is \"64\" and should be a number")]
    [TestCase("gemma3", "layer_types", "[\"full_attention\"]", "'layer_types' has 1 entries for 7 layers")]
    [TestCase("phi3", "partial_rotary_factor", "\"half\"", "'partial_rotary_factor' is \"half\" and should be a number")]
    [TestCase("llama", "text_config", """{"rms_norm_eps":"x"}""", "'rms_norm_eps' is \"x\" and should be a number")]
    public void WhatTheFolderRefusesTheExportRefusesInTheSameWords(string name, string key, string? value, string message)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        checkpoint.Config.Remove(key);
        if (value is not null)
        {
            checkpoint.Config[key] = JsonNode.Parse(value);
        }

        string path = checkpoint.Write(_folder["model"]);
        ModelFormatException? run = Refusal(() => Read(path, ModelConventions.HuggingFace)), export = Refusal(() => Export(path));
        if (message.Length == 0)
        {
            Assert.That((run, export), Is.EqualTo(((ModelFormatException?)null, (ModelFormatException?)null)));
            return;
        }

        Assert.That(run?.Message, Does.Contain(message));
        Assert.That(export?.Message, Is.EqualTo(run!.Message));
    }

    /// <summary>Odd configurations that mean something: the file that is made of them says the same.</summary>
    [TestCase("llama", "num_key_value_heads", null)]
    [TestCase("llama", "rms_norm_eps", "null")]
    [TestCase("llama", "rope_scaling", "null")]
    [TestCase("llama", "rope_parameters", """{"rope_type":"linear","factor":2,"rope_theta":5e5}""")]
    [TestCase("llama", "text_config", """{"rms_norm_eps":0.001,"rope_theta":20000}""")]
    [TestCase("llama", "final_logit_softcapping", "30")]
    [TestCase("qwen2", "head_dim", "12")]
    [TestCase("qwen2", "partial_rotary_factor", "0.5")]
    [TestCase("qwen3", "rope_theta", null)]
    [TestCase("qwen3", "hidden_act", "\"swish\"")]
    [TestCase("qwen3", "max_position_embeddings", null)]
    [TestCase("qwen3-moe", "intermediate_size", null)]
    [TestCase("qwen3-moe", "rms_norm_eps", null)]
    [TestCase("mixtral", "rope_theta", null)]
    [TestCase("gemma2", "attn_logit_softcapping", null)]
    [TestCase("gemma2", "final_logit_softcapping", null)]
    [TestCase("gemma2", "sliding_window", null)]
    [TestCase("gemma2", "hidden_activation", null)]
    [TestCase("gemma2", "layer_types", """["sliding_attention","full_attention"]""")]
    [TestCase("gemma3", "vocab_size", "320")]
    [TestCase("gemma3", "num_attention_heads", "4")]
    [TestCase("gemma3", "sliding_window_pattern", "1")]
    [TestCase("gemma3", "sliding_window", "null")]
    [TestCase("gemma3", "final_logit_softcapping", "25")]
    [TestCase("gemma3", "rope_scaling", """{"rope_type":"linear","factor":8}""")]
    [TestCase("phi3", "original_max_position_embeddings", null)]
    [TestCase("phi3-longrope", "original_max_position_embeddings", null)]
    [TestCase("phi3-longrope", "max_position_embeddings", null)]
    [TestCase("qwen2-yarn", "max_position_embeddings", "4096")]
    public void WhatTheFolderUnderstandsTheGgufSaysToo(string name, string key, string? value)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        checkpoint.Config.Remove(key);
        if (value is not null)
        {
            checkpoint.Config[key] = JsonNode.Parse(value);
        }

        if (key == "num_key_value_heads")
        {
            checkpoint = WithAllHeads(checkpoint, isNull: false);
        }

        using var export = GgufExport.Create(ModelFolder.Open(checkpoint.Write(_folder["model"])));
        ModelConfig expected = ModelConfig.Read(export.Folder, ModelConventions.LlamaCpp);
        Assert.That(
            ConfigFields.FindDifference(
                expected with { InterleavedRope = expected.Architecture == "llama", NormsAddOne = false },
                ModelConfig.Read(export, ModelConventions.LlamaCpp)),
            Is.Null);
    }

    /// <summary>llama.cpp would load the file and compute something else.</summary>
    [TestCase("gemma2", "attn_logit_softcapping", "null", "attn_logit_softcapping is 0 or null, which means no bound, but llama.cpp has one for gemma2 always")]
    [TestCase("gemma2", "final_logit_softcapping", "null", "final_logit_softcapping is 0 or null")]
    [TestCase("gemma2", "sliding_window", "null", "it has no sliding window, but llama.cpp applies one of 4096 to gemma2")]
    [TestCase("gemma2", "layer_types", """["full_attention","sliding_attention"]""", "does not have the order of sliding and full layers")]
    [TestCase("gemma3", "attn_logit_softcapping", "50", "AttentionSoftCap is 50 in config.json, but llama.cpp would compute with 0")]
    [TestCase("gemma3", "sliding_window_pattern", "3", "does not have the order of sliding and full layers")]
    [TestCase("gemma3", "rope_parameters", """{"full_attention":{"rope_theta":1e6},"sliding_attention":{"rope_type":"linear","factor":2}}""", "the frequencies of sliding layers are scaled")]
    [TestCase("mistral", "partial_rotary_factor", "0.5", "partial_rotary_factor makes 32 of 64 values of a head rotate")]
    [TestCase("llama3", "attention_bias", "false", "is a bias that config.json does not ask for")]
    [TestCase("qwen3", "attention_bias", "true", "the checkpoint has no tensor for 'blk.0.attn_q.bias'")]
    [TestCase("mistral", "tie_word_embeddings", "true", null)]
    [TestCase("llama", "tie_word_embeddings", "false", "lm_head.weight is missing")]
    public void WhatAGgufCannotSayIsRefused(string name, string key, string value, string? message)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        checkpoint.Config[key] = JsonNode.Parse(value);
        string path = checkpoint.Write(_folder["model"]);
        Assert.That(
            () => Export(path),
            message is null
                ? Throws.Nothing
                : Throws.InstanceOf<NotSupportedException>().Or.InstanceOf<ModelFormatException>().With.Message.Contains(message));
    }

    /// <summary>A null means as many as there are query heads, an absent key what the class has: eight for Mistral.</summary>
    [Test]
    public void MistralWithoutANumberOfKeyHeads()
    {
        RandomCheckpoint checkpoint = WithAllHeads(RandomCheckpoint.Create("mistral"), isNull: true);
        string path = checkpoint.Write(_folder["model"]), gguf = _folder["model.gguf"];
        using (var export = GgufExport.Create(ModelFolder.Open(path)))
        {
            ModelConverter.Convert(QuantizationPlan.Dequantize(export, QuantCodec.Get(QuantFormat.F32), allFloats: true), gguf);
            Assert.That(export.Metadata["llama.attention.head_count_kv"].ToString(), Is.EqualTo("4"));
        }

        Assert.That(Logits(gguf), Is.EqualTo(Logits(path)).Within(1e-4));
    }

    /// <summary>The same weights with a key head for each query head.</summary>
    private static RandomCheckpoint WithAllHeads(RandomCheckpoint checkpoint, bool isNull)
    {
        checkpoint.Config.Remove("num_key_value_heads");
        if (isNull)
        {
            checkpoint.Config["num_key_value_heads"] = null;
        }

        return checkpoint.RepeatKeyHeads();
    }

    private static float[] Logits(string path)
    {
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { LoadTokenizer = false, Conventions = ModelConventions.LlamaCpp });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        model.Forward(RandomCheckpoint.Prompt(9), cache, logits);
        return logits;
    }

    private static ModelFormatException? Refusal(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (ModelFormatException exception)
        {
            return exception;
        }
    }

    private static void Export(string path)
    {
        using var export = GgufExport.Create(ModelFolder.Open(path), new GgufExportOptions { IncludeTokenizer = false });
    }

    private ModelConfig Read(RandomCheckpoint checkpoint, ModelConventions conventions) => Read(checkpoint.Write(_folder["read"]), conventions);

    private static ModelConfig Read(string path, ModelConventions conventions)
    {
        using ModelSource source = ModelSource.Open(path);
        return ModelConfig.Read(source, conventions);
    }
}
