using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.TestKit;

/// <summary>
/// A small model with random weights in the layout of Hugging Face, one for each architecture and for what differs inside of it. Norms and
/// biases are random too, so that nothing can be left out unnoticed. Every weight is a whole number of 256ths at most, so the same on all
/// machines and exact in BF16.
/// </summary>
public sealed class RandomCheckpoint
{
    private const int Vocabulary = 320;
    private const int Hidden = 256;
    private const int Inner = 512;
    private static readonly ConcurrentDictionary<string, OrderedDictionary<string, (int[] Shape, float[] Values)>> Made = [];

    private OrderedDictionary<string, (int[] Shape, float[] Values)> _tensors;
    private readonly Random _random;
    private OrderedDictionary<string, (int[] Shape, float[] Values)> _making = [];

    private RandomCheckpoint(string name, JsonObject config, TokenizerKind tokenizer, int seed)
    {
        // Parsed as from a file, so that every number is a number of any kind.
        (Name, Config, Tokenizer) = (name, JsonNode.Parse(config.ToJsonString())!.AsObject(), tokenizer);
        _random = new Random(seed);

        // Tests change configurations, never weights.
        _tensors = Made.GetOrAdd(name, _ => MakeTensors());
    }

    private enum Range
    {
        Weight,
        Sharp,

        /// <summary>Products with these are often larger than the bound of gpt-oss's activation.</summary>
        Wide,
        Sink,
        Embedding,
        Norm,
        Bias,
    }

    /// <summary>A name for this one; several may have the same model type.</summary>
    public string Name { get; }

    /// <summary>The <c>config.json</c>.</summary>
    public JsonObject Config { get; }

    /// <summary>What kind of tokenizer is written.</summary>
    public TokenizerKind Tokenizer { get; }

    /// <summary>The tensors by their Hugging Face names, in file order; shapes outermost first.</summary>
    public IReadOnlyDictionary<string, (int[] Shape, float[] Values)> Tensors => _tensors;

    /// <summary>The names of all.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Recipes().Select(recipe => recipe.Name)];

    private string ModelType => (string)Config["model_type"]!;

    /// <summary>Makes one.</summary>
    public static RandomCheckpoint Create(string name)
    {
        (_, JsonObject config, TokenizerKind tokenizer) = Recipes().Single(recipe => recipe.Name == name);
        return new RandomCheckpoint(name, config, tokenizer, Names.ToList().IndexOf(name) + 1);
    }

    /// <summary>Token ids of a prompt, none of them special.</summary>
    public static int[] Prompt(int length)
    {
        var random = new Random(length);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(20, 250))];
    }

    /// <summary>Writes the folder: configuration, weights in BF16, tokenizer.</summary>
    public string Write(string path)
    {
        Directory.CreateDirectory(path);
        File.WriteAllText(Path.Combine(path, "config.json"), Config.ToJsonString());
        var writer = new SafetensorsWriter();
        QuantCodec codec = QuantCodec.Get(QuantFormat.BF16);
        foreach ((string name, (int[] shape, float[] values)) in _tensors)
        {
            var bytes = new byte[codec.GetByteCount(values.Length)];
            codec.Encode(values, bytes);
            writer.Add(name, ElementType.BF16, [.. shape.Select(dimension => (long)dimension)], bytes);
        }

        writer.Write(Path.Combine(path, "model.safetensors"));
        TinyTokenizer.Write(path, Tokenizer, Vocabulary);
        return path;
    }

    /// <summary>The same model with a key and value head for each query head: those there are, repeated.</summary>
    public RandomCheckpoint RepeatKeyHeads()
    {
        var tensors = new OrderedDictionary<string, (int[] Shape, float[] Values)>();
        foreach ((string name, (int[] shape, float[] values)) in _tensors)
        {
            bool isKey = name.Contains("k_proj", StringComparison.Ordinal) || name.Contains("v_proj", StringComparison.Ordinal);
            tensors.Add(name, isKey ? ([2 * shape[0], .. shape[1..]], [.. values, .. values]) : (shape, values));
        }

        _tensors = tensors;
        return this;
    }

    private static IEnumerable<(string Name, JsonObject Config, TokenizerKind Tokenizer)> Recipes()
    {
        yield return ("llama", Make("llama", ("tie_word_embeddings", true)), TokenizerKind.Llama3);
        yield return (
            "llama3",
            Make(
                "llama", ("attention_bias", true), ("head_dim", 96), ("rope_theta", 10000.0), ("rope_scaling", new JsonObject
                {
                    ["rope_type"] = "llama3",
                    ["factor"] = 8.0,
                    ["low_freq_factor"] = 1.0,
                    ["high_freq_factor"] = 4.0,
                    ["original_max_position_embeddings"] = 64,
                })),
            TokenizerKind.Llama3);
        yield return (
            "llama-linear", Make("llama", ("rope_scaling", new JsonObject { ["type"] = "linear", ["factor"] = 4.0 })), TokenizerKind.SentencePiece);
        yield return ("mistral", Make("mistral", ("sliding_window", null), ("rms_norm_eps", 1e-5)), TokenizerKind.SentencePiece);
        yield return (
            "mixtral", Make("mixtral", ("num_local_experts", 4), ("num_experts_per_tok", 2), ("rope_theta", 1e6)), TokenizerKind.SentencePiece);
        yield return ("qwen2", Make("qwen2", ("use_sliding_window", false)), TokenizerKind.Qwen2);
        yield return ("qwen3", Make("qwen3", ("head_dim", 128), ("tie_word_embeddings", true)), TokenizerKind.Qwen2);
        yield return (
            "qwen3-moe",
            Make(
                "qwen3_moe", ("head_dim", 64), ("num_experts", 4), ("num_experts_per_tok", 2), ("moe_intermediate_size", 256),
                ("norm_topk_prob", true)),
            TokenizerKind.Qwen2);
        yield return (
            "gemma2",
            Make(
                "gemma2", ("head_dim", 64), ("query_pre_attn_scalar", 64), ("sliding_window", 8), ("attn_logit_softcapping", 50.0),
                ("final_logit_softcapping", 30.0), ("hidden_activation", "gelu_pytorch_tanh"), ("tie_word_embeddings", true)),
            TokenizerKind.SentencePiece);
        yield return (
            "gemma3",
            Make(
                "gemma3_text", ("head_dim", 64), ("query_pre_attn_scalar", 64), ("sliding_window", 8), ("num_hidden_layers", 7),
                ("rope_theta", 1e6), ("rope_local_base_freq", 1e4), ("hidden_activation", "gelu_pytorch_tanh"), ("tie_word_embeddings", true)),
            TokenizerKind.SentencePiece);
        yield return ("phi3", Make("phi3", ("sliding_window", null), ("original_max_position_embeddings", 512)), TokenizerKind.SentencePiece);
        yield return (
            "phi3-longrope",
            Make(
                "phi3", ("sliding_window", null), ("original_max_position_embeddings", 256), ("max_position_embeddings", 1024),
                ("rope_scaling", new JsonObject
                {
                    ["type"] = "longrope",
                    ["short_factor"] = Factors(1 / 64.0),
                    ["long_factor"] = Factors(1 / 4.0),
                })),
            TokenizerKind.SentencePiece);

        // At the end, because weights depend on the place.
        yield return (
            "phi3-long",
            Make(
                "phi3", ("sliding_window", null), ("original_max_position_embeddings", 128), ("rope_scaling", new JsonObject
                {
                    ["type"] = "longrope",
                    ["short_factor"] = Factors(1 / 64.0),
                    ["long_factor"] = Factors(1 / 4.0),
                })),
            TokenizerKind.SentencePiece);
        yield return (
            "phi3-partial",
            Make("phi3", ("sliding_window", null), ("original_max_position_embeddings", 512), ("partial_rotary_factor", 0.75)),
            TokenizerKind.SentencePiece);
        yield return (
            "qwen2-yarn",
            Make(
                "qwen2", ("use_sliding_window", false), ("tie_word_embeddings", true), ("rope_scaling", new JsonObject
                {
                    ["type"] = "yarn",
                    ["factor"] = 4.0,
                    ["original_max_position_embeddings"] = 64,
                })),
            TokenizerKind.Qwen2);
        yield return (
            "qwen2-moe",
            Make(
                "qwen2_moe", ("num_experts", 4), ("num_experts_per_tok", 2), ("moe_intermediate_size", 256), ("shared_expert_intermediate_size", 320),
                ("norm_topk_prob", false), ("use_sliding_window", false)),
            TokenizerKind.Qwen2);
        yield return ("glm4", Make("glm4", ("head_dim", 64), ("attention_bias", true)), TokenizerKind.Qwen2);
        yield return (
            "glm4-moe",
            Make(
                "glm4_moe", ("head_dim", 96), ("attention_bias", true), ("use_qk_norm", true), ("n_routed_experts", 4), ("num_experts_per_tok", 2),
                ("moe_intermediate_size", 256), ("n_shared_experts", 1), ("first_k_dense_replace", 1), ("routed_scaling_factor", 1.5),
                ("norm_topk_prob", true), ("partial_rotary_factor", 0.5), ("num_hidden_layers", 3)),
            TokenizerKind.Qwen2);
        yield return ("granite", Make("granite", [("tie_word_embeddings", true), .. Multipliers()]), TokenizerKind.Qwen2);
        yield return (
            "granite-moe", Make("granitemoe", [("num_local_experts", 4), ("num_experts_per_tok", 2), .. Multipliers()]), TokenizerKind.Qwen2);
        yield return (
            "granite-shared",
            Make(
                "granitemoeshared", [("num_local_experts", 4), ("num_experts_per_tok", 2), ("shared_intermediate_size", 320), .. Multipliers()]),
            TokenizerKind.Qwen2);
        yield return ("smollm3", Make("smollm3", ("num_hidden_layers", 5), ("tie_word_embeddings", true), ("rope_theta", 2e6)), TokenizerKind.Qwen2);
        yield return (
            "gpt-oss",
            Make(
                "gpt_oss", ("head_dim", 96), ("attention_bias", true), ("sliding_window", 8), ("num_local_experts", 4), ("num_experts_per_tok", 2),
                ("intermediate_size", 256), ("rope_theta", 150000.0), ("num_hidden_layers", 4), ("rope_scaling", new JsonObject
                {
                    ["rope_type"] = "yarn",
                    ["factor"] = 32.0,
                    ["original_max_position_embeddings"] = 4096,
                    ["truncate"] = false,
                })),
            TokenizerKind.Qwen2);
    }

    private static (string Key, JsonNode? Value)[] Multipliers() =>
        [("embedding_multiplier", 12.0), ("attention_multiplier", 0.03125), ("residual_multiplier", 0.22), ("logits_scaling", 8.0)];

    private static JsonArray Factors(double step) => [.. Enumerable.Range(0, 32).Select(i => (JsonNode)(1 + (step * i)))];

    private static JsonObject Make(string modelType, params (string Key, JsonNode? Value)[] settings)
    {
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(Architecture(modelType)),
            ["model_type"] = modelType,
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = Inner,
            ["num_hidden_layers"] = 2,
            ["num_attention_heads"] = 4,
            ["num_key_value_heads"] = 2,
            ["max_position_embeddings"] = 512,
            ["rms_norm_eps"] = 1e-6,
            ["rope_theta"] = 10000.0,
            ["vocab_size"] = Vocabulary,
            ["tie_word_embeddings"] = false,
        };
        if (!modelType.StartsWith("gemma", StringComparison.Ordinal))
        {
            config["hidden_act"] = "silu";
        }

        foreach ((string key, JsonNode? value) in settings)
        {
            config[key] = value;
        }

        return config;
    }

    private static string Architecture(string modelType) => modelType switch
    {
        "qwen3_moe" => "Qwen3MoeForCausalLM",
        "qwen2_moe" => "Qwen2MoeForCausalLM",
        "glm4_moe" => "Glm4MoeForCausalLM",
        "gpt_oss" => "GptOssForCausalLM",
        "granitemoe" => "GraniteMoeForCausalLM",
        "granitemoeshared" => "GraniteMoeSharedForCausalLM",
        "smollm3" => "SmolLM3ForCausalLM",
        "gemma3_text" => "Gemma3ForCausalLM",
        _ => char.ToUpperInvariant(modelType[0]) + modelType[1..] + "ForCausalLM",
    };

    private int Number(string key, int fallback = 0) => (int?)Config[key] ?? fallback;

    private OrderedDictionary<string, (int[] Shape, float[] Values)> MakeTensors()
    {
        _making = [];
        Add("model.embed_tokens.weight", Range.Embedding, Vocabulary, Hidden);
        for (int layer = 0; layer < Number("num_hidden_layers"); layer++)
        {
            AddLayer($"model.layers.{layer}.");
        }

        Add("model.norm.weight", Range.Norm, Hidden);
        if (!(bool)Config["tie_word_embeddings"]!)
        {
            Add("lm_head.weight", Range.Embedding, Vocabulary, Hidden);
        }

        return _making;
    }

    private void AddLayer(string layer)
    {
        bool isGemma = ModelType.StartsWith("gemma", StringComparison.Ordinal);
        string[] norms = ModelType == "glm4"
            ? ["input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"]
            : isGemma
            ? ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
            : ["input_layernorm", "post_attention_layernorm"];
        foreach (string norm in norms)
        {
            Add($"{layer}{norm}.weight", Range.Norm, Hidden);
        }

        AddAttention(layer + "self_attn.");
        AddFeedForward(layer);
    }

    private void AddAttention(string prefix)
    {
        int heads = Number("num_attention_heads"), shared = Number("num_key_value_heads"), size = Number("head_dim", Hidden / heads);
        if (ModelType == "phi3")
        {
            Add(prefix + "qkv_proj.weight", Range.Sharp, (heads + shared + shared) * size, Hidden);
        }
        else
        {
            bool hasBias = ModelType is "qwen2" or "qwen2_moe" || (bool?)Config["attention_bias"] == true;
            foreach ((string name, int count) in ((string, int)[])[("q_proj", heads), ("k_proj", shared), ("v_proj", shared)])
            {
                Add($"{prefix}{name}.weight", name == "v_proj" ? Range.Weight : Range.Sharp, count * size, Hidden);
                if (hasBias)
                {
                    Add($"{prefix}{name}.bias", Range.Bias, count * size);
                }
            }
        }

        Add(prefix + "o_proj.weight", Range.Weight, Hidden, heads * size);
        if (ModelType is "llama" or "gpt_oss" && (bool?)Config["attention_bias"] == true)
        {
            Add(prefix + "o_proj.bias", Range.Bias, Hidden);
        }

        if (ModelType == "gpt_oss")
        {
            Add(prefix + "sinks", Range.Sink, heads);
        }

        if (ModelType is "qwen3" or "qwen3_moe" or "gemma3_text" || (bool?)Config["use_qk_norm"] == true)
        {
            Add(prefix + "q_norm.weight", Range.Norm, size);
            Add(prefix + "k_norm.weight", Range.Norm, size);
        }
    }

    private void AddFeedForward(string layer)
    {
        switch (ModelType)
        {
            case "mixtral":
                Add(layer + "block_sparse_moe.gate.weight", Range.Sharp, Number("num_local_experts"), Hidden);
                for (int expert = 0; expert < Number("num_local_experts"); expert++)
                {
                    AddGated($"{layer}block_sparse_moe.experts.{expert}.", "w1", "w3", "w2", Inner);
                }

                break;
            case "qwen3_moe":
                AddExperts(layer + "mlp.", "num_experts");
                break;
            case "qwen2_moe":
                AddExperts(layer + "mlp.", "num_experts");
                Add(layer + "mlp.shared_expert_gate.weight", Range.Weight, 1, Hidden);
                AddGated(layer + "mlp.shared_expert.", "gate_proj", "up_proj", "down_proj", Number("shared_expert_intermediate_size"));
                break;
            case "glm4_moe" when !layer.EndsWith(".0.", StringComparison.Ordinal):
                AddExperts(layer + "mlp.", "n_routed_experts");
                Add(layer + "mlp.gate.e_score_correction_bias", Range.Bias, Number("n_routed_experts"));
                AddGated(layer + "mlp.shared_experts.", "gate_proj", "up_proj", "down_proj", Number("moe_intermediate_size"));
                break;
            case "granitemoe" or "granitemoeshared":
                int all = Number("num_local_experts");
                Add(layer + "block_sparse_moe.router.layer.weight", Range.Sharp, all, Hidden);
                Add(layer + "block_sparse_moe.input_linear.weight", Range.Weight, all, 2 * Inner, Hidden);
                Add(layer + "block_sparse_moe.output_linear.weight", Range.Weight, all, Hidden, Inner);
                if (Number("shared_intermediate_size") is int shared and > 0)
                {
                    Add(layer + "shared_mlp.input_linear.weight", Range.Weight, 2 * shared, Hidden);
                    Add(layer + "shared_mlp.output_linear.weight", Range.Weight, Hidden, shared);
                }

                break;
            case "gpt_oss":
                int experts = Number("num_local_experts"), inner = Number("intermediate_size");
                Add(layer + "mlp.router.weight", Range.Sharp, experts, Hidden);
                Add(layer + "mlp.router.bias", Range.Bias, experts);
                Add(layer + "mlp.experts.gate_up_proj", Range.Wide, experts, Hidden, 2 * inner);
                Add(layer + "mlp.experts.gate_up_proj_bias", Range.Bias, experts, 2 * inner);
                Add(layer + "mlp.experts.down_proj", Range.Weight, experts, inner, Hidden);
                Add(layer + "mlp.experts.down_proj_bias", Range.Bias, experts, Hidden);
                break;
            case "glm4":
            case "phi3":
                Add(layer + "mlp.gate_up_proj.weight", Range.Weight, 2 * Inner, Hidden);
                Add(layer + "mlp.down_proj.weight", Range.Weight, Hidden, Inner);
                break;
            default:
                AddGated(layer + "mlp.", "gate_proj", "up_proj", "down_proj", Inner);
                break;
        }
    }

    private void AddExperts(string prefix, string count)
    {
        Add(prefix + "gate.weight", Range.Sharp, Number(count), Hidden);
        for (int expert = 0; expert < Number(count); expert++)
        {
            AddGated($"{prefix}experts.{expert}.", "gate_proj", "up_proj", "down_proj", Number("moe_intermediate_size"));
        }
    }

    private void AddGated(string prefix, string gate, string up, string down, int inner)
    {
        Add($"{prefix}{gate}.weight", Range.Weight, inner, Hidden);
        Add($"{prefix}{up}.weight", Range.Weight, inner, Hidden);
        Add($"{prefix}{down}.weight", Range.Weight, Hidden, inner);
    }

    private void Add(string name, Range range, params int[] shape)
    {
        bool isGemma = ModelType.StartsWith("gemma", StringComparison.Ordinal);
        (float step, float offset) = range switch
        {
            Range.Weight => (1 / 1024f, 0f),
            Range.Sharp => (1 / 512f, 0f),
            Range.Wide => (1 / 256f, 0f),
            Range.Sink => (1 / 64f, 0f),
            // Gemma multiplies embeddings by 16, and they must not drown the layers.
            Range.Embedding => (isGemma ? 1 / 2048f : 1 / 512f, 0f),
            Range.Norm => (1 / 1024f, isGemma ? 0f : 1f),
            _ => (1 / 256f, 0f),
        };
        var values = new float[shape.Aggregate(1, (a, b) => a * b)];
        for (int i = 0; i < values.Length; i++)
        {
            // A norm around 1 has 7 binary digits behind the point in BF16.
            int digit = _random.Next(-127, 128);
            values[i] = range == Range.Norm && offset != 0 ? offset + (digit / 8 / 128f) : digit * step;
        }

        _making.Add(name, (shape, values));
    }
}
