using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Configuration;

/// <summary>Reads the metadata of a GGUF file as llama.cpp does, or as the checkpoint it was made from would behave.</summary>
internal sealed class GgufConfigReader
{
    private readonly string _path;
    private readonly GgufMetadata _metadata;
    private readonly ModelFamily _family;
    private readonly bool _isLlamaCpp;

    private GgufConfigReader(ModelSource model, ModelFamily family, bool isLlamaCpp)
    {
        _path = model.Path;
        _metadata = ((GgufSource)model).Metadata;
        _family = family;
        _isLlamaCpp = isLlamaCpp;
    }

    /// <summary>Reads everything.</summary>
    /// <param name="model">A model that is an <see cref="GgufSource"/> too.</param>
    /// <param name="conventions">Whose behaviour to follow; llama.cpp's if the file decides.</param>
    public static ModelConfig Read(ModelSource model, ModelConventions conventions)
    {
        string? architecture = model.Architecture
            ?? throw new ModelFormatException(model.Path, "the required key 'general.architecture' is missing");
        return ModelFamily.TryGetGguf(architecture, out ModelFamily? family)
            ? new GgufConfigReader(model, family, conventions != ModelConventions.HuggingFace).Read(model)
            : throw new ModelFormatException(
                model.Path,
                $"architecture '{architecture}' is not supported; known are "
                + string.Join(", ", ModelFamily.With(FamilySupport.Run).Select(known => known.Architecture).Distinct()));
    }

    private ModelConfig Read(ModelSource model)
    {
        int hiddenSize = Require("embedding_length");
        int layers = ConfigLimits.CheckLayers(_path, Key("block_count"), Require("block_count"));
        int heads = Require("attention.head_count");
        int headSize = Count("attention.key_length") ?? (hiddenSize / heads);
        if (Count("attention.value_length") is int valueSize && valueSize != headSize)
        {
            throw new ModelFormatException(_path, $"values of {valueSize} beside keys of {headSize} are not supported");
        }

        int keyValueHeads = Count("attention.head_count_kv") ?? heads;
        if (headSize == 0 || heads % keyValueHeads != 0)
        {
            throw new ModelFormatException(_path, $"{heads} heads of {headSize} do not share {keyValueHeads} key and value heads evenly");
        }

        int rotated = Count("rope.dimension_count") ?? headSize;
        if (rotated > headSize || rotated % 2 != 0)
        {
            throw new ModelFormatException(_path, $"{Key("rope.dimension_count")} is {rotated}, which is no even part of a head of {headSize}");
        }

        layers -= CountPredictionLayers(layers);
        int? experts = Count("expert_count");
        RopeConfig rope = ReadRope(model, rotated);
        ImmutableArray<int> windows = ReadWindows(layers);
        var config = new ModelConfig
        {
            Architecture = _family.Architecture,
            HiddenSize = hiddenSize,
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            HeadSize = headSize,
            IntermediateSize = Require("feed_forward_length"),
            VocabularySize = CountVocabulary(model),
            ContextLength = Require("context_length"),
            NormEpsilon = Number("attention.layer_norm_rms_epsilon")
                ?? throw new ModelFormatException(_path, $"the required key '{Key("attention.layer_norm_rms_epsilon")}' is missing"),
            Rope = rope,
            LocalRope = _family.Architecture == "gemma3"
                ? new RopeConfig { Theta = Number("rope.freq_base_swa") ?? 10_000, Dimensions = rotated }
                : null,
            InterleavedRope = _family.InterleavedInGguf,
            RotatedLayers = ReadRotatedLayers(layers),
            Activation = _family.IsGemma ? _isLlamaCpp ? GateActivation.GeluTanhHalf : GateActivation.GeluTanh
                : _family.Experts == ExpertStyle.GptOss ? GateActivation.ClampedSwiglu : GateActivation.Silu,
            EmbeddingScale = _family.IsGemma ? MathF.Sqrt(hiddenSize) : ReadMultiplier("embedding_scale") ?? 1,
            AttentionScale = ReadMultiplier("attention.scale") ?? 1 / MathF.Sqrt(_family.ScaleSizeInGguf(hiddenSize, layers, heads, headSize)),
            ResidualScale = ReadMultiplier("residual_scale") ?? 1,
            LogitDivisor = ReadMultiplier("logit_scale") ?? 1,
            AttentionSoftCap = _family.AttentionSoftCap == 0 ? 0 : Number("attn_logit_softcapping") ?? _family.AttentionSoftCap,
            LogitSoftCap = _family.IsGemma ? Number("final_logit_softcapping") ?? _family.LogitSoftCap : 0,
            Windows = windows,
            HasProjectionBias = HasTensor(model, "blk.0.attn_q.bias") || HasTensor(model, "blk.0.attn_qkv.bias"),
            HasOutputBias = HasTensor(model, "blk.0.attn_output.bias"),
            HasFeedForwardBias = HasTensor(model, "blk.0.ffn_down.bias"),
            HasSinks = _family.Experts == ExpertStyle.GptOss,
            HasHeadNorms = _family.HasHeadNorms || (_family.Experts == ExpertStyle.Glm4 && HasTensor(model, "blk.0.attn_q_norm.weight")),
            HasPostNorms = _family.HasPostNorms,
            TiesEmbedding = !HasTensor(model, "output.weight"),
            Experts = experts is null ? null : ReadExperts(model, experts.Value, layers),
            BosId = TokenId("bos"),
            EosIds = [.. new[] { TokenId("eos"), TokenId("eot"), TokenId("eom") }.OfType<int>().Distinct()],
        };
        ConfigLimits.Check(_path, config);
        return config;
    }

    /// <summary>A number of Granite, where 0 means that the file does not say.</summary>
    private float? ReadMultiplier(string name) => _family.IsGranite && Number(name) is float value && value != 0 ? value : null;

    /// <summary>Layers at the end that predict further tokens, which nobody needs; llama.cpp counts them.</summary>
    private int CountPredictionLayers(int layers)
    {
        int count = _family.Experts == ExpertStyle.Glm4 ? Count("nextn_predict_layers") ?? 0 : 0;
        return count < layers ? count : throw new ModelFormatException(_path, $"{Key("nextn_predict_layers")} is {count} of {layers} layers");
    }

    private ImmutableArray<bool> ReadRotatedLayers(int layers)
    {
        if (_family.UnrotatedPeriod > 0)
        {
            return ModelFamily.SpreadRotation(layers, _family.UnrotatedPeriod);
        }

        return _family.IsGranite && _metadata.TryGetValue(Key("rope.scaling.finetuned"), out GgufValue? value) && value.TryGet(out bool rotates) && !rotates
            ? [.. Enumerable.Repeat(false, layers)]
            : [];
    }

    private ExpertConfig ReadExperts(ModelSource model, int count, int layers)
    {
        int perToken = Count("expert_used_count") ?? throw new ModelFormatException(_path, $"the required key '{Key("expert_used_count")}' is missing");
        if (perToken > count)
        {
            throw new ModelFormatException(_path, $"{perToken} of {count} experts are used for a token");
        }

        int intermediate = Require("feed_forward_length");
        if (_family.Experts == ExpertStyle.Glm4)
        {
            return ReadGlm4Experts(count, perToken, layers);
        }

        bool isDense = _family.IsLlama || _family.Experts == ExpertStyle.Granite, isQwen2 = _family.Experts == ExpertStyle.Qwen2;
        return new ExpertConfig
        {
            Count = count,
            PerToken = perToken,
            IntermediateSize = isDense ? intermediate : Count("expert_feed_forward_length") ?? (intermediate / perToken),
            Normalizes = !isQwen2,
            LeastSum = _isLlamaCpp && _family.Experts != ExpertStyle.GptOss ? ExpertConfig.LlamaCppLeastSum : 0,
            HasBias = _family.Experts == ExpertStyle.GptOss,
            SharedIntermediateSize = isQwen2 ? Count("expert_shared_feed_forward_length") ?? intermediate
                : HasTensor(model, "blk.0.ffn_down_shexp.weight") ? Require("expert_shared_feed_forward_length") : 0,
            HasSharedGate = isQwen2,
        };
    }

    private ExpertConfig ReadGlm4Experts(int count, int perToken, int layers)
    {
        int inner = Require("expert_feed_forward_length"), dense = Count("leading_dense_block_count") ?? 0;
        int gating = Count("expert_gating_func") ?? 2;
        if (gating is not (1 or 2))
        {
            throw new ModelFormatException(_path, $"{Key("expert_gating_func")} is {gating}; known are 1 (softmax) and 2 (sigmoid)");
        }

        return new ExpertConfig
        {
            Count = count,
            PerToken = perToken,
            IntermediateSize = inner,
            Score = gating == 2 ? RouterScore.Sigmoid : RouterScore.Softmax,
            HasChoiceBias = true,
            Normalizes = _metadata.TryGetValue(Key("expert_weights_norm"), out GgufValue? value) && value.TryGet(out bool normalizes) && normalizes,
            LeastSum = _isLlamaCpp ? ExpertConfig.LlamaCppLeastSum : 0,
            WeightScale = Number("expert_weights_scale") is float scale and not 0 ? scale : 1,
            SharedIntermediateSize = ConfigLimits.Multiply(Count("expert_shared_count") ?? 0, inner),
            Layers = dense == 0 ? [] : [.. Enumerable.Range(0, layers).Select(layer => layer >= dense)],
        };
    }

    private RopeConfig ReadRope(ModelSource model, int rotated)
    {
        int context = Require("context_length"), original = Count("rope.scaling.original_context_length") ?? context;
        float factor = Number("rope.scaling.factor") is float given and > 0 ? given : 1;
        var plain = new RopeConfig
        {
            Theta = Number("rope.freq_base") ?? 10_000,
            Dimensions = rotated,
            AttentionFactor = Number("rope.scaling.attn_factor") ?? 1,
        };
        if (ReadDivisors(model, "rope_factors_long.weight", rotated) is { IsEmpty: false } longer)
        {
            return plain with
            {
                Kind = RopeKind.LongRope,
                Factor = (float)(context / (double)original),
                OriginalContext = original,
                LongDivisors = longer,
                ShortDivisors = ReadDivisors(model, "rope_factors_short.weight", rotated) is { IsEmpty: false } shorter ? shorter : longer,
                SwitchesByContext = _isLlamaCpp,
            };
        }

        string kind = Text("rope.scaling.type") ?? (factor == 1 ? "none" : "linear");
        ImmutableArray<float> divisors = ReadDivisors(model, "rope_freqs.weight", rotated);
        return kind switch
        {
            "none" or "longrope" when divisors.IsEmpty => plain,
            "none" => plain with { Kind = RopeKind.Divisors, ShortDivisors = divisors },
            "linear" => plain with { Kind = divisors.IsEmpty ? RopeKind.Linear : RopeKind.Divisors, ShortDivisors = divisors, Factor = factor },
            "yarn" => plain with
            {
                Kind = RopeKind.Yarn,
                Factor = factor,
                OriginalContext = original,
                AttentionFactor = plain.AttentionFactor * (factor <= 1 ? 1 : (0.1f * MathF.Log(factor)) + 1),
                Truncate = _isLlamaCpp || _family.Experts != ExpertStyle.GptOss,
            },
            _ => throw new ModelFormatException(
                _path, $"'{Key("rope.scaling.type")}' is '{kind}', which is not supported; known are none, linear, yarn, longrope"),
        };
    }

    private ImmutableArray<float> ReadDivisors(ModelSource model, string name, int rotated)
    {
        if (!model.TryGetTensor(name, out ModelTensor? tensor))
        {
            return [];
        }

        if (tensor.Codec?.Format != QuantFormat.F32 || tensor.GetWeightCount() != rotated / 2)
        {
            throw new ModelFormatException(
                _path, $"{tensor.FormatName} [{string.Join(", ", tensor.Shape)}] should be f32 [{rotated / 2}]", name);
        }

        var values = new float[rotated / 2];
        tensor.ReadRows(0, values);
        return ImmutableArray.Create(values);
    }

    private ImmutableArray<int> ReadWindows(int layers)
    {
        int window = Count("attention.sliding_window") ?? (_family.Architecture == "gemma2" ? _family.Window : 0);
        if (window == 0 || (_isLlamaCpp && !_family.WindowedInGguf))
        {
            return [];
        }

        string key = Key("attention.sliding_window_pattern");
        if (_metadata.TryGetValue(key, out GgufValue? value) && value.TryGetArray(out bool[]? slides))
        {
            return slides.Length >= layers
                ? [.. slides.Take(layers).Select(slide => slide ? window : 0)]
                : throw new ModelFormatException(_path, $"'{key}' has {slides.Length} entries for {layers} layers");
        }

        int period = Count("attention.sliding_window_pattern") ?? _family.WindowPeriod;
        return period == 1 ? [] : ModelFamily.SpreadWindow(window, layers, period);
    }

    private int CountVocabulary(ModelSource model) => model.TryGetTensor("token_embd.weight", out ModelTensor? tensor)
        && tensor.Shape.Length == 2 && tensor.Shape[0] is > 0 and <= int.MaxValue
            ? (int)tensor.Shape[0]
            : throw new ModelFormatException(_path, "there is no matrix 'token_embd.weight'");

    private static bool HasTensor(ModelSource model, string name) => model.TryGetTensor(name, out _);

    private string Key(string name) => $"{_family.Architecture}.{name}";

    private int Require(string name) => Count(name) ?? throw new ModelFormatException(_path, $"the required key '{Key(name)}' is missing or 0");

    /// <summary>A number above 0, or null when it is absent or 0; of a list, which has one entry per layer, all must be equal.</summary>
    private int? Count(string name)
    {
        if (!_metadata.TryGetValue(Key(name), out GgufValue? value))
        {
            return null;
        }

        long? number = value.TryGetInteger(out long single) ? single : null;
        if (number is null && value.Type == GgufValueType.Array)
        {
            foreach (GgufValue element in value.GetElements())
            {
                number = element.TryGetInteger(out long entry) && (number is null || number == entry)
                    ? entry
                    : throw new ModelFormatException(_path, $"'{Key(name)}' differs from layer to layer, which is not supported");
            }
        }

        return number is >= 0 and <= int.MaxValue
            ? number == 0 ? null : (int)number
            : throw new ModelFormatException(_path, $"'{Key(name)}' is no whole number from 0 to {int.MaxValue}");
    }

    private float? Number(string name)
    {
        if (!_metadata.TryGetValue(Key(name), out GgufValue? value))
        {
            return null;
        }

        return value.TryGetNumber(out double number) && double.IsFinite(number)
            ? (float)number
            : throw new ModelFormatException(_path, $"'{Key(name)}' is no number");
    }

    private string? Text(string name) => _metadata.TryGetValue(Key(name), out GgufValue? value) && value.TryGet(out string text) ? text : null;

    private int? TokenId(string name) =>
        _metadata.TryGetValue($"tokenizer.ggml.{name}_token_id", out GgufValue? value) && value.TryGetInteger(out long id) && id is >= 0 and < int.MaxValue
            ? (int)id
            : null;
}
