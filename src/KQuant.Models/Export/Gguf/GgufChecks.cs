using System.Globalization;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// What a configuration asks for and a GGUF cannot say: llama.cpp would load the file and compute something else. Where that shows at once
/// it is an error, where only long texts differ it is a note.
/// </summary>
internal static class GgufChecks
{
    public static void Check(ModelFolder folder, GgufFamily family, ModelDimensions model, List<string> notes)
    {
        var config = new CheckpointConfig(folder.Config);
        string? activation = config.GetString("hidden_activation") ?? config.GetString("hidden_act");
        if (activation is not null && activation != family.Activation && !(family.IsGemma && activation == "gelu"))
        {
            throw Refuse(folder, $"the activation is '{Printable.Shorten(activation)}', but llama.cpp applies {family.Activation} to {family.Architecture}");
        }

        CheckRope(folder, family, model, notes);
        CheckExperts(folder, family, config);
        CheckAttention(folder, family, model, config);
        AddWindowNotes(family, model, config, notes);
    }

    private static NotSupportedException Refuse(ModelFolder folder, string reason) => new($"{folder.Path} cannot become a GGUF: {reason}.");

    private static void CheckRope(ModelFolder folder, GgufFamily family, ModelDimensions model, List<string> notes)
    {
        string kind = model.Rope.Kind;
        bool isKnown = kind switch
        {
            "default" or "linear" or "yarn" => true,
            "llama3" => family.IsLlama,
            "longrope" => family.Architecture == "phi3",
            "dynamic" => true,
            _ => false,
        };
        if (!isKnown)
        {
            throw Refuse(folder, $"rope scaling '{Printable.Shorten(kind)}' is not possible for architecture '{family.Architecture}'");
        }

        if (kind == "dynamic")
        {
            notes.Add(
                $"Dynamic rope scaling has no place in a GGUF: llama.cpp computes the same up to {model.ContextLength} tokens, and something "
                + "else beyond.");
        }

        if (kind == "yarn" && model.Rope.Find("attention_factor", "beta_fast", "beta_slow", "mscale") is not null)
        {
            notes.Add("llama.cpp ignores attention_factor, beta_fast, beta_slow and mscale of yarn for this architecture.");
        }
    }

    private static void CheckExperts(ModelFolder folder, GgufFamily family, CheckpointConfig config)
    {
        if (family.Architecture != "qwen3moe")
        {
            return;
        }

        if (config.GetBoolean("norm_topk_prob") != true)
        {
            throw Refuse(folder, "norm_topk_prob is not true, but llama.cpp always normalizes the weights of the chosen experts of qwen3moe");
        }

        if (config.GetArray("mlp_only_layers") is JsonArray { Count: > 0 } || config.GetInteger("decoder_sparse_step") is not (null or 1))
        {
            throw Refuse(folder, "some of its layers are dense (mlp_only_layers, decoder_sparse_step), and llama.cpp's qwen3moe has none");
        }
    }

    private static void CheckAttention(ModelFolder folder, GgufFamily family, ModelDimensions model, CheckpointConfig config)
    {
        if (config.GetBoolean("use_bidirectional_attention") == true)
        {
            throw Refuse(folder, "use_bidirectional_attention is true");
        }

        if (!family.IsGemma)
        {
            return;
        }

        // Stored nowhere: llama.cpp goes by the number of layers.
        double scale = config.GetNumber("query_pre_attn_scalar") ?? 256;
        bool isLarge = (family.Architecture, model.Layers) is ("gemma2", 46) or ("gemma3", 62);
        long assumed = isLarge ? model.HiddenSize / model.Heads : model.HeadDimension;
        if (scale != assumed)
        {
            throw Refuse(
                folder,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"query_pre_attn_scalar is {scale}, but llama.cpp assumes {assumed} for {family.Architecture} with {model.Layers} layers"));
        }

        if (config.GetArray("layer_types") is JsonArray layers && !layers.Select(IsSliding).SequenceEqual(Pattern(family, model)))
        {
            throw Refuse(folder, $"layer_types does not have the order of sliding and full layers that llama.cpp assumes for {family.Architecture}");
        }

        if (family.Architecture == "gemma3" && config.GetInteger("sliding_window_pattern") is not (null or 1 or 6))
        {
            throw Refuse(folder, $"sliding_window_pattern is {config.GetInteger("sliding_window_pattern")}, but llama.cpp assumes 6");
        }
    }

    private static bool IsSliding(JsonNode? type) => type.AsString() == "sliding_attention";

    private static IEnumerable<bool> Pattern(GgufFamily family, ModelDimensions model)
    {
        int period = family.Architecture == "gemma2" ? 2 : 6;
        return Enumerable.Range(0, (int)model.Layers).Select(layer => (layer + 1) % period != 0);
    }

    private static void AddWindowNotes(GgufFamily family, ModelDimensions model, CheckpointConfig config, List<string> notes)
    {
        if (family.IsGemma)
        {
            return;
        }

        // Mistral's class has a window of 4096 when the key is missing altogether; Qwen's windows must be switched on.
        long window = model.SlidingWindow > 0 ? model.SlidingWindow
            : family.ModelType == "mistral" && !config.Contains("sliding_window") ? 4096 : 0;
        bool slides = window > 0 && window < model.ContextLength && (!family.Architecture.StartsWith("qwen", StringComparison.Ordinal)
            || (config.GetBoolean("use_sliding_window") == true && (config.GetInteger("max_window_layers") ?? 28) < model.Layers));
        if (slides)
        {
            notes.Add($"llama.cpp knows no sliding window for this architecture: beyond {window} tokens it attends to more than the model was made for.");
        }
    }
}
