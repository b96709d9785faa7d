using System.Collections.Immutable;
using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Configuration;

/// <summary>
/// Reads the <c>config.json</c> of a checkpoint folder, with the defaults of Hugging Face's classes. What is absent is the family's default,
/// what is of another kind than it should be is an error; running and exporting see the same.
/// </summary>
internal sealed class CheckpointConfigReader
{
    /// <summary>Numbers of the activation that are the same in all published models, and that llama.cpp has fixed.</summary>
    private static readonly (string Key, float Value)[] GptOssConstants = [("swiglu_limit", 7), ("swiglu_alpha", 1.702f)];

    private readonly ModelFolder _folder;

    private CheckpointConfigReader(ModelFolder folder, ConfigValues values, ModelFamily family)
    {
        (_folder, Values, Family) = (folder, values, family);
        HeadSize = ReadHeadSize();
        Ropes = new RopeReader(values, family, HeadSize);
    }

    public ConfigValues Values { get; }

    public ModelFamily Family { get; }

    public RopeReader Ropes { get; }

    public int HeadSize { get; }

    /// <summary>Whether the configuration or its class names the size of heads; otherwise it is hidden size divided by heads.</summary>
    public bool NamesHeadSize => Family.HeadSize > 0 || (Family.ReadsHeadSize && Values.GetCount("head_dim") is not null);

    private int HeadCount => Values.GetCount("num_attention_heads", Family.HeadCount);

    /// <summary>Finds the family of a checkpoint.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="support">What is to be done with it.</param>
    /// <exception cref="ModelFormatException">It has no model type, or one that is not computed here.</exception>
    /// <exception cref="NotSupportedException">It does not become a GGUF.</exception>
    public static CheckpointConfigReader Open(ModelFolder folder, FamilySupport support)
    {
        string path = System.IO.Path.Combine(folder.Path, "config.json");
        var values = new ConfigValues(path, folder.Config);
        if (values.GetText("model_file") is string program)
        {
            // mlx-lm runs this file of the folder instead of a class of its own. An auto_map is no such key: without trust in foreign code
            // transformers takes its own class for a known model_type, and so does this.
            throw new ModelFormatException(
                path, $"model_file names '{Printable.Shorten(program)}', a program of its own that computes the model; it is not run");
        }

        string modelType = values.GetText("model_type") ?? throw new ModelFormatException(path, "the required key 'model_type' is missing");
        if (ModelFamily.TryGet(modelType, support, out ModelFamily? family))
        {
            return new CheckpointConfigReader(folder, values, family);
        }

        string known = string.Join(", ", ModelFamily.With(support).Select(other => other.ModelType));
        throw support == FamilySupport.Export
            ? new NotSupportedException(
                $"{folder.Path}: model type '{Printable.Shorten(modelType)}' cannot become a GGUF here; the types are {known}.")
            : values.Unsupported("model_type", modelType, known);
    }

    /// <summary>Reads everything.</summary>
    /// <param name="conventions">Whose behaviour to follow; Hugging Face's if the file decides.</param>
    public ModelConfig Read(ModelConventions conventions)
    {
        bool isLlamaCpp = conventions == ModelConventions.LlamaCpp;
        int hiddenSize = Values.Require("hidden_size"), heads = HeadCount;
        int layers = ConfigLimits.CheckLayers(Values.Path, "num_hidden_layers", Values.Require("num_hidden_layers"));
        bool biases = Family.ReadsBias && Values.GetFlag("attention_bias", Family.DefaultBias);
        ExpertConfig? experts = Family.Experts == ExpertStyle.None ? null : ReadExperts(layers, isLlamaCpp);
        if (Values.GetFlag("use_bidirectional_attention", false))
        {
            throw Values.Unsupported("use_bidirectional_attention", "true", "false");
        }

        var config = new ModelConfig
        {
            Architecture = Family.Architecture,
            HiddenSize = hiddenSize,
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = ReadKeyValueHeads(heads),
            HeadSize = HeadSize,
            IntermediateSize = Values.GetCount("intermediate_size", experts is { Layers.IsEmpty: true } ? experts.IntermediateSize : 0),
            VocabularySize = Values.GetCount("vocab_size", Family.VocabularySize),
            ContextLength = Values.GetCount("max_position_embeddings", Family.ContextLength),
            NormEpsilon = Values.GetNumber("rms_norm_eps", Family.NormEpsilon),
            Rope = Ropes.Read(isLlamaCpp),
            LocalRope = Ropes.ReadLocal(isLlamaCpp),
            InterleavedRope = Family.IsInterleaved,
            RotatedLayers = ReadRotatedLayers(layers),
            Activation = ReadActivation(isLlamaCpp),
            EmbeddingScale = Family.IsGemma ? ScaleOfEmbedding(hiddenSize, isLlamaCpp) : ReadMultiplier("embedding_multiplier"),
            AttentionScale = Family.IsGranite
                ? ReadMultiplier("attention_multiplier")
                : 1 / MathF.Sqrt(Family.IsGemma ? Values.GetNumber("query_pre_attn_scalar", 256) : HeadSize),
            ResidualScale = ReadMultiplier("residual_multiplier"),
            LogitDivisor = ReadMultiplier("logits_scaling"),
            AttentionSoftCap = ReadSoftCap("attn_logit_softcapping", Family.AttentionSoftCap),
            LogitSoftCap = ReadSoftCap("final_logit_softcapping", Family.LogitSoftCap),
            Windows = ReadWindows(layers, isLlamaCpp),
            HasProjectionBias = Family.AlwaysBiased || biases,
            HasOutputBias = biases && Family.BiasesOutput,
            HasSinks = Family.Experts == ExpertStyle.GptOss,
            HasFeedForwardBias = Family.ReadsBias && Values.GetFlag("mlp_bias", false),
            HasHeadNorms = Family.HasHeadNorms || (Family.Experts == ExpertStyle.Glm4 && Values.GetFlag("use_qk_norm", false)),
            HasPostNorms = Family.HasPostNorms,
            NormsAddOne = Family.IsGemma,
            TiesEmbedding = Values.GetFlag("tie_word_embeddings", Family.TiesEmbedding),
            Experts = experts,
            BosId = Values.GetIds("bos_token_id") is { IsEmpty: false } bos ? bos[0] : null,
            EosIds = Values.GetIds("eos_token_id"),
        };
        ConfigLimits.Check(_folder.Path, config);
        return config;
    }

    private int ReadHeadSize()
    {
        if (Family.ReadsHeadSize && Values.GetCount("head_dim") is int given)
        {
            return given;
        }

        if (Family.HeadSize > 0)
        {
            return Family.HeadSize;
        }

        int hiddenSize = Values.Require("hidden_size"), heads = HeadCount;
        return hiddenSize % heads == 0
            ? hiddenSize / heads
            : throw new ModelFormatException(
                Values.Path, $"'hidden_size' {hiddenSize} is no multiple of 'num_attention_heads' {heads}, and there is no 'head_dim'");
    }

    /// <summary>A null means as many as there are query heads, an absent key what the class has.</summary>
    private int ReadKeyValueHeads(int heads)
    {
        int fallback = Values.Contains("num_key_value_heads") || Family.KeyValueHeads == 0 ? heads : Family.KeyValueHeads;
        int count = Values.GetCount("num_key_value_heads", fallback);
        return heads % count == 0
            ? count
            : throw new ModelFormatException(
                Values.Path, $"'num_attention_heads' {heads} is no multiple of 'num_key_value_heads' {count}");
    }

    private float ReadMultiplier(string key) => Family.IsGranite ? Values.GetNumber(key, 1) : 1;

    /// <summary>A list of 1 for layers with positions and 0 for those without, whatever its name says, or one layer of so many.</summary>
    private ImmutableArray<bool> ReadRotatedLayers(int layers)
    {
        if (Family.IsGranite && Values.GetText("position_embedding_type") is string kind and not "rope")
        {
            return kind == "nope" ? [.. Enumerable.Repeat(false, layers)] : throw Values.Unsupported("position_embedding_type", kind, "rope, nope");
        }

        if (Family.UnrotatedPeriod == 0)
        {
            return [];
        }

        if (Values.GetFlag("use_sliding_window", false))
        {
            throw Values.Unsupported("use_sliding_window", "true", "false");
        }

        ImmutableArray<int> list = Values.GetIds("no_rope_layers");
        if (!list.IsEmpty && list.Length != layers)
        {
            throw new ModelFormatException(Values.Path, $"'no_rope_layers' has {list.Length} entries for {layers} layers");
        }

        int period = Values.GetCount("no_rope_layer_interval", Family.UnrotatedPeriod);
        return list.IsEmpty ? ModelFamily.SpreadRotation(layers, period) : [.. list.Select(rotates => rotates != 0)];
    }

    private ExpertConfig ReadExperts(int layers, bool isLlamaCpp) => Family.Experts switch
    {
        ExpertStyle.Glm4 => ReadGlm4Experts(layers, isLlamaCpp),
        ExpertStyle.Granite or ExpertStyle.GptOss => ReadChosenExperts(isLlamaCpp),
        _ => ReadQwenExperts(layers, isLlamaCpp),
    };

    private ExpertConfig ReadGlm4Experts(int layers, bool isLlamaCpp)
    {
        foreach (string key in (string[])["n_group", "topk_group"])
        {
            if (Values.GetCount(key, 1) is not 1 and int groups)
            {
                throw Values.Unsupported(key, $"{groups}", "1");
            }
        }

        int count = Values.GetCount("n_routed_experts") ?? Values.GetCount("num_experts", 128);
        int inner = Values.GetCount("moe_intermediate_size", 1408);
        int dense = Values.GetIds("first_k_dense_replace") is [int first, ..] ? first : 1;
        return new ExpertConfig
        {
            Count = count,
            PerToken = CheckPerToken(Values.GetCount("num_experts_per_tok", 8), count),
            IntermediateSize = inner,
            Score = RouterScore.Sigmoid,
            HasChoiceBias = true,
            Normalizes = Values.GetFlag("norm_topk_prob", true),
            LeastSum = isLlamaCpp ? ExpertConfig.LlamaCppLeastSum : 0,
            WeightScale = Values.GetNumber("routed_scaling_factor", 1),
            SharedIntermediateSize = ConfigLimits.Multiply(Values.GetCount("n_shared_experts", 1), inner),
            Layers = dense == 0 ? [] : [.. Enumerable.Range(0, layers).Select(layer => layer >= dense)],
        };
    }

    /// <summary>Softmax over the chosen experts, which is that over all, divided by the sum of the chosen.</summary>
    private ExpertConfig ReadChosenExperts(bool isLlamaCpp)
    {
        bool isGptOss = Family.Experts == ExpertStyle.GptOss;
        foreach ((string key, float known) in isGptOss ? GptOssConstants : [])
        {
            if (Values.GetNumber(key, known) is float value && value != known)
            {
                throw Values.Unsupported(key, value.ToString(CultureInfo.InvariantCulture), known.ToString(CultureInfo.InvariantCulture));
            }
        }

        int count = Values.GetCount("num_local_experts") ?? Values.GetCount("num_experts", isGptOss ? 128 : 8);
        int perToken = Values.GetCount("num_experts_per_tok") ?? Values.GetCount("experts_per_token", isGptOss ? 4 : 2);
        return new ExpertConfig
        {
            Count = count,
            PerToken = CheckPerToken(perToken, count),
            IntermediateSize = Values.Require("intermediate_size"),
            Normalizes = true,
            LeastSum = isLlamaCpp && !isGptOss ? ExpertConfig.LlamaCppLeastSum : 0,
            HasBias = isGptOss,
            SharedIntermediateSize = Family.ModelType == "granitemoeshared" ? Values.GetCount("shared_intermediate_size", 1024) : 0,
        };
    }

    private int CheckPerToken(int perToken, int count) => perToken <= count
        ? perToken
        : throw new ModelFormatException(Values.Path, $"'num_experts_per_tok' is {perToken}, but there are {count} experts");

    private ExpertConfig ReadQwenExperts(int layers, bool isLlamaCpp)
    {
        bool isMixtral = Family.Experts == ExpertStyle.Mixtral;
        int count = Values.GetCount(isMixtral ? "num_local_experts" : "num_experts")
            ?? Values.GetCount("num_experts") ?? (isMixtral ? 8 : Family.Experts == ExpertStyle.Qwen2 ? 60 : 128);
        int perToken = CheckPerToken(Values.GetCount("num_experts_per_tok", isMixtral ? 2 : Family.Experts == ExpertStyle.Qwen2 ? 4 : 8), count);
        return new ExpertConfig
        {
            Count = count,
            PerToken = perToken,
            IntermediateSize = isMixtral
                ? Values.Require("intermediate_size")
                : Values.GetCount("moe_intermediate_size", Family.Experts == ExpertStyle.Qwen2 ? 1408 : 768),
            Normalizes = isMixtral || (isLlamaCpp ? Family.Experts == ExpertStyle.Qwen3 : Values.GetFlag("norm_topk_prob", false)),
            LeastSum = isLlamaCpp ? ExpertConfig.LlamaCppLeastSum : 0,
            SharedIntermediateSize = Family.Experts == ExpertStyle.Qwen2 ? Values.GetCount("shared_expert_intermediate_size", 5632) : 0,
            HasSharedGate = Family.Experts == ExpertStyle.Qwen2,
            Layers = isMixtral ? [] : ReadSparseLayers(layers),
        };
    }

    private ImmutableArray<bool> ReadSparseLayers(int layers)
    {
        int step = Values.GetCount("decoder_sparse_step", 1);
        ImmutableArray<int> dense = Values.GetIds("mlp_only_layers");
        bool[] sparse = [.. Enumerable.Range(0, layers).Select(layer => !dense.Contains(layer) && (layer + 1) % step == 0)];
        return sparse.All(has => has) ? [] : [.. sparse];
    }

    private GateActivation ReadActivation(bool isLlamaCpp)
    {
        string key = Family.IsGemma && Values.Get("hidden_activation") is not null ? "hidden_activation" : "hidden_act";
        string? name = Values.GetText(key);
        if (!Family.IsGemma)
        {
            return name is not (null or "silu" or "swish") ? throw Values.Unsupported(key, name, "silu")
                : Family.Experts == ExpertStyle.GptOss ? GateActivation.ClampedSwiglu : GateActivation.Silu;
        }

        // Gemma 2 checkpoints say "gelu" under the old key and mean the other.
        return name is null or "gelu_pytorch_tanh" || (key == "hidden_act" && name == "gelu")
            ? isLlamaCpp ? GateActivation.GeluTanhHalf : GateActivation.GeluTanh
            : throw Values.Unsupported(key, name, "gelu_pytorch_tanh");
    }

    /// <summary>Hugging Face rounds the scale to the type of the weights.</summary>
    private float ScaleOfEmbedding(int hiddenSize, bool isLlamaCpp)
    {
        float scale = MathF.Sqrt(hiddenSize);
        if (isLlamaCpp)
        {
            return scale;
        }

        QuantFormat? format = _folder.Tensors.FirstOrDefault(tensor => tensor.Name.EndsWith("norm.weight", StringComparison.Ordinal))?.Codec?.Format;
        return format switch
        {
            QuantFormat.BF16 => (float)(BFloat16)scale,
            QuantFormat.F16 => (float)(Half)scale,
            _ => scale,
        };
    }

    private float ReadSoftCap(string key, float fallback) =>
        !Family.IsGemma ? 0 : Values.Contains(key) ? Values.GetNumber(key, 0) : fallback;

    private ImmutableArray<int> ReadWindows(int layers, bool isLlamaCpp)
    {
        int window = Values.Contains("sliding_window") ? Values.GetCount("sliding_window") ?? 0 : Family.HasOptionalWindow ? 4096 : Family.Window;
        if (window == 0 || (isLlamaCpp && !Family.WindowedInGguf)
            || (Family.HasOptionalWindow && !Values.GetFlag("use_sliding_window", false)))
        {
            return [];
        }

        ImmutableArray<int> windows = ReadWindows(layers, window);
        return windows.All(width => width == 0) ? [] : windows;
    }

    private ImmutableArray<int> ReadWindows(int layers, int window)
    {
        if (Values.GetTexts("layer_types") is { } types)
        {
            return types.Length == layers
                ? [.. types.Select(type => type switch
                {
                    "sliding_attention" => window,
                    "full_attention" => 0,
                    _ => throw Values.Unsupported("layer_types", type, "sliding_attention, full_attention"),
                })]
                : throw new ModelFormatException(Values.Path, $"'layer_types' has {types.Length} entries for {layers} layers");
        }

        int period = Family.WindowPeriod == 0 ? 0 : Values.GetCount("sliding_window_pattern", Family.WindowPeriod);
        int first = Family.HasOptionalWindow ? Values.GetCount("max_window_layers", 28) : 0;
        ImmutableArray<int> windows = ModelFamily.SpreadWindow(window, layers, period);
        return first == 0 ? windows : [.. windows.Select((width, layer) => layer < first ? 0 : width)];
    }
}
