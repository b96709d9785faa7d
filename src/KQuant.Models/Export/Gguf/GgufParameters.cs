using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;
using KQuant.Models.Generation;

namespace KQuant.Models.Export;

/// <summary>
/// A model's configuration written as metadata, in the types, names and order of llama.cpp's converter: the other direction of
/// <see cref="GgufConfigReader"/>.
/// </summary>
internal sealed class GgufParameters
{
    private const float DefaultTheta = 1e4f;
    private const string GenerationConfig = SamplingReader.FileName;

    private static readonly string[] SamplingKeys = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "penalty_repeat"];

    private readonly GgufExport _export;
    private readonly GgufMetadata _metadata;
    private readonly CheckpointConfigReader _reader;
    private readonly ModelFamily _family;
    private readonly ModelConfig _config;

    private GgufParameters(GgufExport export, CheckpointConfigReader reader, ModelConfig config)
    {
        (_export, _metadata, _reader, _family, _config) = (export, export.Metadata, reader, reader.Family, config);
    }

    /// <summary>Writes all keys but the tokenizer's.</summary>
    /// <param name="export">The model; takes the metadata.</param>
    /// <param name="reader">Where the configuration comes from.</param>
    /// <param name="config">The configuration as llama.cpp understands it.</param>
    /// <param name="name">The name of the model, if it is not that of the folder.</param>
    public static void Write(GgufExport export, CheckpointConfigReader reader, ModelConfig config, string? name)
    {
        var parameters = new GgufParameters(export, reader, config);
        export.Metadata.Set("general.architecture", config.Architecture);
        export.Metadata.Set("general.type", "model");
        parameters.WriteSampling();
        export.Metadata.Set("general.name", name ?? FindName(export.Folder.Path));
        export.Metadata.Set("general.size_label", parameters.SizeLabel());
        parameters.WriteShape();
        parameters.WriteRope();
        parameters.Set("attention.layer_norm_rms_epsilon", config.NormEpsilon);
        parameters.WriteExperts();
        if (reader.NamesHeadSize)
        {
            parameters.Set("attention.key_length", config.HeadSize);
            parameters.Set("attention.value_length", config.HeadSize);
        }

        parameters.WriteFamily();
    }

    private void Set(string key, int value) => _metadata.Set($"{_config.Architecture}.{key}", (uint)value);

    private void Set(string key, float value) => _metadata.Set($"{_config.Architecture}.{key}", value);

    private void WriteShape()
    {
        Set("block_count", _config.LayerCount);
        Set("context_length", _config.ContextLength);
        Set("embedding_length", _config.HiddenSize);
        Set("feed_forward_length", _config.IntermediateSize);
        Set("attention.head_count", _config.HeadCount);
        Set("attention.head_count_kv", _config.KeyValueHeadCount);
    }

    private void WriteRope()
    {
        RopeConfig rope = _config.Rope;
        if (rope.Kind is RopeKind.Linear or RopeKind.Yarn)
        {
            _metadata.Set($"{_config.Architecture}.rope.scaling.type", rope.Kind == RopeKind.Linear ? "linear" : "yarn");
            Set("rope.scaling.factor", rope.Factor);
        }

        if (rope.Kind == RopeKind.Yarn)
        {
            Set("rope.scaling.original_context_length", rope.OriginalContext);
            SetIfThere("ext_factor", "extrapolation_factor");
            SetIfThere("attn_factor", "attention_factor", "attn_factor");
            SetIfThere("beta_fast", "beta_fast");
            SetIfThere("beta_slow", "beta_slow");
        }

        // llama.cpp's converter leaves out the base of Gemma 2, which is what is assumed without one.
        if (_family.Architecture != "gemma2" || rope.Theta != DefaultTheta)
        {
            Set("rope.freq_base", rope.Theta);
        }

        if (_config.LocalRope is RopeConfig local)
        {
            Set("rope.freq_base_swa", local.Theta);
        }

        void SetIfThere(string key, params ReadOnlySpan<string> names)
        {
            if (_reader.Ropes.FindNumber(names) is float value)
            {
                Set($"rope.scaling.yarn_{key}", value);
            }
        }
    }

    private void WriteExperts()
    {
        if (_config.Experts is not ExpertConfig experts)
        {
            return;
        }

        Set("expert_count", experts.Count);
        Set("expert_used_count", experts.PerToken);
        if (!_family.IsLlama && !_family.IsGranite)
        {
            Set("expert_feed_forward_length", experts.IntermediateSize);
        }

        if (_family.Experts == ExpertStyle.Qwen2 || (_family.IsGranite && experts.SharedIntermediateSize > 0))
        {
            Set("expert_shared_feed_forward_length", experts.SharedIntermediateSize);
        }

        if (_family.Experts == ExpertStyle.Glm4)
        {
            Set("expert_shared_count", experts.SharedIntermediateSize / experts.IntermediateSize);
            Set("leading_dense_block_count", experts.Layers.Count(has => !has));
            Set("expert_gating_func", 2);
            Set("expert_weights_scale", experts.WeightScale);
            _metadata.Set($"{_config.Architecture}.expert_weights_norm", experts.Normalizes);
        }
    }

    private void WriteFamily()
    {
        switch (_family.Architecture)
        {
            case "llama" or "granite" or "granitemoe" or "smollm3":
                Set("vocab_size", _config.VocabularySize);
                Set("rope.dimension_count", _config.Rope.Dimensions);
                break;
            case "phi3":
                WritePhi3();
                break;
            default:
                if (_config.Rope.Dimensions != _config.HeadSize)
                {
                    Set("rope.dimension_count", _config.Rope.Dimensions);
                }

                break;
        }

        if (_family.IsGranite)
        {
            Set("attention.scale", _config.AttentionScale);
            Set("embedding_scale", _config.EmbeddingScale);
            Set("residual_scale", _config.ResidualScale);
            Set("logit_scale", _config.LogitDivisor);
            if (!_config.RotatedLayers.IsEmpty)
            {
                _metadata.Set($"{_config.Architecture}.rope.scaling.finetuned", false);
            }
        }

        if (_config.AttentionSoftCap > 0)
        {
            Set("attn_logit_softcapping", _config.AttentionSoftCap);
        }

        if (_config.LogitSoftCap > 0)
        {
            Set("final_logit_softcapping", _config.LogitSoftCap);
        }

        if (_family.WindowedInGguf && !_config.Windows.IsEmpty)
        {
            Set("attention.sliding_window", _config.Windows.Max());
        }
    }

    private void WritePhi3()
    {
        Set("rope.scaling.original_context_length", _reader.Ropes.OriginalContext);
        Set("rope.dimension_count", _config.Rope.Dimensions);

        // 0 tells Phi-4, which has no window, from the others. llama.cpp applies none to either.
        Set("attention.sliding_window", _reader.Read(ModelConventions.HuggingFace).Windows is { IsEmpty: false } windows ? windows.Max() : 0);
        if (_config.Rope.Kind == RopeKind.LongRope)
        {
            Set("rope.scaling.attn_factor", _config.Rope.AttentionFactor);
        }
    }

    /// <summary>What the model's makers recommend for sampling, which llama.cpp takes as its defaults.</summary>
    private void WriteSampling()
    {
        if (!AuxiliaryFiles.Find(_export.Path).TryFind(GenerationConfig, out string? path))
        {
            return;
        }

        JsonObject config = ConfigFile.Read(path);
        if ((config["penalty_repeat"].AsNumber() ?? config["repetition_penalty"].AsNumber()) is double penalty)
        {
            _metadata.Set(SamplingReader.GgufPrefix + "penalty_repeat", (float)penalty);
            _metadata.Set(SamplingReader.GgufPrefix + SamplingReader.GgufPenaltyContext, -1);
        }

        if (config["do_sample"]?.GetValueKind() != JsonValueKind.True)
        {
            // Greedy, whatever else stands there; llama.cpp without a temperature would draw.
            if (config.ContainsKey("do_sample") || SamplingKeys.Any(config.ContainsKey))
            {
                _metadata.Set(SamplingReader.GgufPrefix + "temp", 0f);
            }

            return;
        }

        _metadata.Set(SamplingReader.GgufPrefix + "temp", (float)(config["temperature"].AsNumber() ?? 1));

        // All of them: llama.cpp has defaults of its own for what a file leaves out, and they are not those of a folder.
        _metadata.Set(SamplingReader.GgufPrefix + "top_k", (int)Math.Clamp(config["top_k"].AsInteger() ?? SamplingReader.StandardTopK, 0, int.MaxValue));
        _metadata.Set(SamplingReader.GgufPrefix + "top_p", (float)(config["top_p"].AsNumber() ?? 1));
        _metadata.Set(SamplingReader.GgufPrefix + "min_p", (float)(config["min_p"].AsNumber() ?? 0));
    }

    private static string FindName(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        string[] parts = full.Split(Path.DirectorySeparatorChar);
        string name = parts[^1];

        // models--ORGANIZATION--NAME/snapshots/REVISION
        if (parts.Length >= 3 && parts[^2] == "snapshots" && parts[^3].StartsWith("models--", StringComparison.Ordinal))
        {
            name = parts[^3][(parts[^3].LastIndexOf("--", StringComparison.Ordinal) + 2)..];
        }

        return name;
    }

    /// <summary>The number of parameters as llama.cpp rounds it: <c>1.7M</c>, <c>8x7B</c>.</summary>
    private string SizeLabel()
    {
        long shared = 0, expert = 0, stacks = 0, experts = 0;
        foreach (ModelTensor tensor in _export.Tensors)
        {
            if (tensor.Shape.Length == 3)
            {
                expert += tensor.GetWeightCount() / tensor.Shape[0];
                experts += tensor.Shape[0];
                stacks++;
            }
            else
            {
                shared += tensor.GetWeightCount();
            }
        }

        string size = Round(shared + expert);
        return stacks == 0 ? size : string.Create(CultureInfo.InvariantCulture, $"{experts / stacks}x{size}");
    }

    private static string Round(long parameters)
    {
        (double scale, string suffix) = parameters switch
        {
            > 1_000_000_000_000 => (1e-12, "T"),
            > 1_000_000_000 => (1e-9, "B"),
            > 1_000_000 => (1e-6, "M"),
            _ => (1e-3, "K"),
        };
        double scaled = parameters * scale;
        int digits = Math.Round(scaled).ToString(CultureInfo.InvariantCulture).TrimStart('0').Length;
        return scaled.ToString($"F{Math.Max(2 - digits, 0)}", CultureInfo.InvariantCulture) + suffix;
    }
}
