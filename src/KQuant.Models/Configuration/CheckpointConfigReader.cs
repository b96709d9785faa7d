using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Configuration;

/// <summary>Reads the <c>config.json</c> of a checkpoint folder, with the defaults of Hugging Face's classes.</summary>
internal static class CheckpointConfigReader
{
    public static ModelConfig Read(ModelFolder folder, ModelConventions conventions)
    {
        string path = System.IO.Path.Combine(folder.Path, "config.json");
        var values = new ConfigValues(path, folder.Config);
        string? modelType = values.GetText("model_type")
            ?? throw new ModelFormatException(path, "the required key 'model_type' is missing");
        if (!ModelFamily.TryGet(modelType, out ModelFamily? family))
        {
            throw values.Unsupported("model_type", modelType, string.Join(", ", ModelFamily.All.Select(known => known.ModelType)));
        }

        bool isLlamaCpp = conventions == ModelConventions.LlamaCpp;
        int hiddenSize = values.Require("hidden_size");
        int heads = values.Require("num_attention_heads");
        int layers = ConfigLimits.CheckLayers(values.Path, "num_hidden_layers", values.Require("num_hidden_layers"));
        int headSize = GetHeadSize(values, family, hiddenSize, heads);
        int keyValueHeads = GetKeyValueHeads(values, family, heads);
        bool biases = family.ReadsBias && values.GetFlag("attention_bias", false);
        ExpertConfig? experts = family.Experts == ExpertStyle.None ? null : ReadExperts(values, family, layers, isLlamaCpp);
        if (values.GetFlag("use_bidirectional_attention", false))
        {
            throw values.Unsupported("use_bidirectional_attention", "true", "false");
        }

        var ropes = new RopeReader(values, family, RotaryDimensions(values, headSize), isLlamaCpp);
        return new ModelConfig
        {
            Architecture = family.Architecture,
            HiddenSize = hiddenSize,
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            HeadSize = headSize,
            IntermediateSize = experts is { Layers.IsEmpty: true } ? experts.IntermediateSize : values.Require("intermediate_size"),
            VocabularySize = values.Require("vocab_size"),
            ContextLength = values.GetCount("max_position_embeddings") ?? family.ContextLength,
            NormEpsilon = values.GetNumber("rms_norm_eps", family.NormEpsilon),
            Rope = ropes.Read(),
            LocalRope = ropes.ReadLocal(),
            Activation = ReadActivation(values, family, isLlamaCpp),
            EmbeddingScale = family.IsGemma ? ScaleOfEmbedding(folder, hiddenSize, isLlamaCpp) : 1,
            AttentionScale = 1 / MathF.Sqrt(family.IsGemma ? values.GetNumber("query_pre_attn_scalar", 256) : headSize),
            AttentionSoftCap = SoftCap(values, "attn_logit_softcapping", family.Architecture == "gemma2" ? 50 : 0),
            LogitSoftCap = SoftCap(values, "final_logit_softcapping", family.Architecture == "gemma2" ? 30 : 0),
            Windows = ReadWindows(values, family, layers, isLlamaCpp),
            HasProjectionBias = family.AlwaysBiased || biases,
            HasOutputBias = biases,
            HasFeedForwardBias = family.ReadsBias && values.GetFlag("mlp_bias", false),
            HasHeadNorms = family.HasHeadNorms,
            HasPostNorms = family.IsGemma,
            NormsAddOne = family.IsGemma,
            TiesEmbedding = values.GetFlag("tie_word_embeddings", family.TiesEmbedding),
            Experts = experts,
            BosId = values.GetIds("bos_token_id") is { IsEmpty: false } bos ? bos[0] : null,
            EosIds = values.GetIds("eos_token_id"),
        };
    }

    private static int GetHeadSize(ConfigValues values, ModelFamily family, int hiddenSize, int heads)
    {
        if (family.ReadsHeadSize && values.GetCount("head_dim") is int given)
        {
            return given;
        }

        if (family.HeadSize > 0)
        {
            return family.HeadSize;
        }

        return hiddenSize % heads == 0
            ? hiddenSize / heads
            : throw new ModelFormatException(
                values.Path, $"'hidden_size' {hiddenSize} is no multiple of 'num_attention_heads' {heads}, and there is no 'head_dim'");
    }

    private static int GetKeyValueHeads(ConfigValues values, ModelFamily family, int heads)
    {
        int fallback = values.Contains("num_key_value_heads") || family.KeyValueHeads == 0 ? heads : family.KeyValueHeads;
        int count = values.GetCount("num_key_value_heads") ?? fallback;
        return heads % count == 0
            ? count
            : throw new ModelFormatException(
                values.Path, $"'num_attention_heads' {heads} is no multiple of 'num_key_value_heads' {count}");
    }

    private static int RotaryDimensions(ConfigValues values, int headSize)
    {
        float part = values.GetNumber("partial_rotary_factor", 1);
        if (values.GetObject("rope_parameters") is { } rope && rope["partial_rotary_factor"] is { } given)
        {
            part = values.ToNumber("partial_rotary_factor", given) ?? part;
        }

        int dimensions = (int)(headSize * part);
        return dimensions > 0 && dimensions <= headSize && dimensions % 2 == 0
            ? dimensions
            : throw new ModelFormatException(
                values.Path, $"'partial_rotary_factor' {part} makes {dimensions} of {headSize} values rotate, which is no even number of them");
    }

    private static ExpertConfig ReadExperts(ConfigValues values, ModelFamily family, int layers, bool isLlamaCpp)
    {
        bool isMixtral = family.Experts == ExpertStyle.Mixtral;
        int count = values.GetCount(isMixtral ? "num_local_experts" : "num_experts")
            ?? values.GetCount("num_experts") ?? (isMixtral ? 8 : family.Experts == ExpertStyle.Qwen2 ? 60 : 128);
        int perToken = values.GetCount("num_experts_per_tok") ?? (isMixtral ? 2 : family.Experts == ExpertStyle.Qwen2 ? 4 : 8);
        if (perToken > count)
        {
            throw new ModelFormatException(values.Path, $"'num_experts_per_tok' is {perToken}, but there are {count} experts");
        }

        return new ExpertConfig
        {
            Count = count,
            PerToken = perToken,
            IntermediateSize = isMixtral
                ? values.Require("intermediate_size")
                : values.GetCount("moe_intermediate_size") ?? (family.Experts == ExpertStyle.Qwen2 ? 1408 : 768),
            Normalizes = isMixtral || (isLlamaCpp ? family.Experts == ExpertStyle.Qwen3 : values.GetFlag("norm_topk_prob", false)),
            SharedIntermediateSize = family.Experts == ExpertStyle.Qwen2 ? values.GetCount("shared_expert_intermediate_size") ?? 5632 : 0,
            Layers = isMixtral ? [] : ReadSparseLayers(values, layers),
        };
    }

    private static ImmutableArray<bool> ReadSparseLayers(ConfigValues values, int layers)
    {
        int step = values.GetCount("decoder_sparse_step") ?? 1;
        ImmutableArray<int> dense = values.GetIds("mlp_only_layers");
        bool[] sparse = [.. Enumerable.Range(0, layers).Select(layer => !dense.Contains(layer) && (layer + 1) % step == 0)];
        return sparse.All(has => has) ? [] : [.. sparse];
    }

    private static GateActivation ReadActivation(ConfigValues values, ModelFamily family, bool isLlamaCpp)
    {
        string key = family.IsGemma && values.Get("hidden_activation") is not null ? "hidden_activation" : "hidden_act";
        string? name = values.GetText(key);
        if (!family.IsGemma)
        {
            return name is null or "silu" or "swish" ? GateActivation.Silu : throw values.Unsupported(key, name, "silu");
        }

        // Gemma 2 checkpoints say "gelu" under the old key and mean the other.
        return name is null or "gelu_pytorch_tanh" || (key == "hidden_act" && name == "gelu")
            ? isLlamaCpp ? GateActivation.GeluTanhHalf : GateActivation.GeluTanh
            : throw values.Unsupported(key, name, "gelu_pytorch_tanh");
    }

    /// <summary>Hugging Face rounds the scale to the type of the weights.</summary>
    private static float ScaleOfEmbedding(ModelFolder folder, int hiddenSize, bool isLlamaCpp)
    {
        float scale = MathF.Sqrt(hiddenSize);
        if (isLlamaCpp)
        {
            return scale;
        }

        QuantFormat? format = folder.Tensors.FirstOrDefault(tensor => tensor.Name.EndsWith("norm.weight", StringComparison.Ordinal))?.Codec?.Format;
        return format switch
        {
            QuantFormat.BF16 => (float)(BFloat16)scale,
            QuantFormat.F16 => (float)(Half)scale,
            _ => scale,
        };
    }

    private static float SoftCap(ConfigValues values, string key, float fallback) =>
        values.Contains(key) ? values.GetNumber(key, 0) : fallback;

    private static ImmutableArray<int> ReadWindows(ConfigValues values, ModelFamily family, int layers, bool isLlamaCpp)
    {
        int window = values.Contains("sliding_window") ? values.GetCount("sliding_window") ?? 0 : family.HasOptionalWindow ? 4096 : family.Window;
        if (window == 0 || (isLlamaCpp && !family.WindowedInGguf)
            || (family.HasOptionalWindow && !values.GetFlag("use_sliding_window", false)))
        {
            return [];
        }

        if (values.GetTexts("layer_types") is { } types)
        {
            return types.Length == layers
                ? [.. types.Select(type => type switch
                {
                    "sliding_attention" => window,
                    "full_attention" => 0,
                    _ => throw values.Unsupported("layer_types", type, "sliding_attention, full_attention"),
                })]
                : throw new ModelFormatException(values.Path, $"'layer_types' has {types.Length} entries for {layers} layers");
        }

        int period = family.WindowPeriod == 0 ? 0 : values.GetCount("sliding_window_pattern") ?? family.WindowPeriod;
        int first = family.HasOptionalWindow ? values.GetCount("max_window_layers") ?? 28 : 0;
        return [.. Enumerable.Range(0, layers).Select(layer => layer < first || (period > 0 && (layer + 1) % period == 0) ? 0 : window)];
    }
}
