using System.Globalization;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>The metadata of a model's dimensions, in the types, names and order of llama.cpp's converter.</summary>
internal static class GgufParameters
{
    private const double DefaultTheta = 1e4;
    private const string GenerationConfig = "generation_config.json";

    public static void Write(GgufExport export, GgufFamily family, ModelDimensions model, string? name)
    {
        GgufMetadata metadata = export.Metadata;
        var config = new CheckpointConfig(export.Folder.Config);
        metadata.Set("general.architecture", family.Architecture);
        metadata.Set("general.type", "model");
        WriteSampling(export);
        metadata.Set("general.name", name ?? FindName(export.Folder.Path));
        metadata.Set("general.size_label", SizeLabel(export));
        WriteShape(metadata, family.Architecture, model);
        WriteRope(metadata, family, model);
        metadata.Set($"{family.Architecture}.attention.layer_norm_rms_epsilon", (float)model.RmsNormEpsilon);
        WriteExperts(metadata, family.Architecture, model);
        if (model.StoredHeadDimension is long dimension)
        {
            metadata.Set($"{family.Architecture}.attention.key_length", (uint)dimension);
            metadata.Set($"{family.Architecture}.attention.value_length", (uint)dimension);
        }

        WriteFamily(metadata, family, model, config);
    }

    private static void WriteShape(GgufMetadata metadata, string architecture, ModelDimensions model)
    {
        metadata.Set($"{architecture}.block_count", (uint)model.Layers);
        metadata.Set($"{architecture}.context_length", (uint)model.ContextLength);
        metadata.Set($"{architecture}.embedding_length", (uint)model.HiddenSize);
        metadata.Set($"{architecture}.feed_forward_length", (uint)model.IntermediateSize);
        metadata.Set($"{architecture}.attention.head_count", (uint)model.Heads);
        metadata.Set($"{architecture}.attention.head_count_kv", (uint)model.KeyValueHeads);
    }

    private static void WriteRope(GgufMetadata metadata, GgufFamily family, ModelDimensions model)
    {
        string architecture = family.Architecture;
        RopeParameters rope = model.Rope;
        if (rope.Kind is "linear" or "yarn")
        {
            metadata.Set($"{architecture}.rope.scaling.type", rope.Kind);
            metadata.Set($"{architecture}.rope.scaling.factor", (float)rope.Require("factor"));
        }

        if (rope.Kind == "yarn")
        {
            metadata.Set($"{architecture}.rope.scaling.original_context_length", (uint)(rope.OriginalContext ?? model.ContextLength));
            SetIfThere("ext_factor", rope.Find("extrapolation_factor"));
            SetIfThere("attn_factor", rope.Find("attention_factor", "attn_factor"));
            SetIfThere("beta_fast", rope.Find("beta_fast"));
            SetIfThere("beta_slow", rope.Find("beta_slow"));
        }

        // llama.cpp's converter leaves out the base of Gemma 2, which is what is assumed without one.
        if (architecture != "gemma2" || rope.Theta != DefaultTheta)
        {
            metadata.Set($"{architecture}.rope.freq_base", (float)rope.Theta);
        }

        if (architecture == "gemma3")
        {
            metadata.Set($"{architecture}.rope.freq_base_swa", (float)(rope.LocalTheta ?? DefaultTheta));
        }

        void SetIfThere(string key, double? value)
        {
            if (value is double number)
            {
                metadata.Set($"{architecture}.rope.scaling.yarn_{key}", (float)number);
            }
        }
    }

    private static void WriteExperts(GgufMetadata metadata, string architecture, ModelDimensions model)
    {
        if (model.Experts == 0)
        {
            return;
        }

        metadata.Set($"{architecture}.expert_count", (uint)model.Experts);
        metadata.Set($"{architecture}.expert_used_count", (uint)model.ExpertsUsed);
        if (architecture != "llama")
        {
            metadata.Set($"{architecture}.expert_feed_forward_length", (uint)model.ExpertSize);
        }
    }

    private static void WriteFamily(GgufMetadata metadata, GgufFamily family, ModelDimensions model, CheckpointConfig config)
    {
        switch (family.Architecture)
        {
            case "llama":
                metadata.Set("llama.vocab_size", (uint)model.Vocabulary);
                metadata.Set("llama.rope.dimension_count", (uint)model.HeadDimension);
                break;
            case "gemma2":
                metadata.Set("gemma2.attn_logit_softcapping", (float)(config.GetNumber("attn_logit_softcapping") ?? 50));
                metadata.Set("gemma2.final_logit_softcapping", (float)(config.GetNumber("final_logit_softcapping") ?? 30));
                metadata.Set("gemma2.attention.sliding_window", (uint)(config.GetInteger("sliding_window") ?? 4096));
                break;
            case "gemma3":
                if (config.GetNumber("final_logit_softcapping") is double cap)
                {
                    metadata.Set("gemma3.final_logit_softcapping", (float)cap);
                }

                if (config.GetInteger("sliding_window_pattern") != 1)
                {
                    metadata.Set("gemma3.attention.sliding_window", (uint)(config.GetInteger("sliding_window") ?? 4096));
                }

                break;
            case "phi3":
                WritePhi3(metadata, family, model);
                break;
            default:
                break;
        }
    }

    private static void WritePhi3(GgufMetadata metadata, GgufFamily family, ModelDimensions model)
    {
        double original = model.Rope.OriginalContext ?? 4096;
        metadata.Set("phi3.rope.scaling.original_context_length", (uint)original);
        metadata.Set("phi3.rope.dimension_count", (uint)family.RotaryDimensions(model));

        // 0 tells Phi-4, which has no window, from the others.
        metadata.Set("phi3.attention.sliding_window", (uint)model.SlidingWindow);
        if (model.Rope.Kind == "longrope")
        {
            double scale = model.ContextLength / original;
            double factor = scale > 1 ? Math.Sqrt(1 + (Math.Log(scale) / Math.Log(original))) : 1;
            metadata.Set("phi3.rope.scaling.attn_factor", (float)factor);
        }
    }

    /// <summary>What the model's makers recommend for sampling, which llama.cpp takes as its defaults.</summary>
    private static void WriteSampling(GgufExport export)
    {
        if (!AuxiliaryFiles.Find(export.Path).TryFind(GenerationConfig, out string? path))
        {
            return;
        }

        JsonObject config = ConfigFile.Read(path);
        GgufMetadata metadata = export.Metadata;
        if (config["top_k"].AsInteger() is long topK and >= 0 and <= int.MaxValue)
        {
            metadata.Set("general.sampling.top_k", (int)topK);
        }

        foreach ((string key, string[] sources) in ((string, string[])[])
            [
                ("top_p", ["top_p"]), ("min_p", ["min_p"]), ("temp", ["temperature"]),
                ("penalty_repeat", ["penalty_repeat", "repetition_penalty"]),
            ])
        {
            if (sources.Select(source => config[source].AsNumber()).FirstOrDefault(value => value is not null) is double number)
            {
                metadata.Set("general.sampling." + key, (float)number);
            }
        }
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
    private static string SizeLabel(GgufExport export)
    {
        long shared = 0, expert = 0, stacks = 0, experts = 0;
        foreach (IModelTensorSource tensor in export.Tensors)
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
