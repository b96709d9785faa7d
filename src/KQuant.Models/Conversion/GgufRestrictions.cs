using KQuant.Codecs;

namespace KQuant.Models.Conversion;

/// <summary>What llama.cpp cannot be told about a model, or computes otherwise whatever it is told.</summary>
internal static class GgufRestrictions
{
    /// <summary>Refuses a model that llama.cpp would load and compute something else from.</summary>
    public static void Check(string path, ModelConfig config)
    {
        string architecture = config.Architecture;
        if (config.Experts is { Layers.IsEmpty: false })
        {
            throw Refuse(path, "layers without experts between layers with experts");
        }

        if (config.Experts is { } experts && architecture != "llama" && experts.Normalizes != (architecture == "qwen3moe"))
        {
            throw Refuse(path, $"'norm_topk_prob' {(experts.Normalizes ? "true" : "false")} for {architecture}");
        }

        if (config.Rope.Kind == RopeKind.Llama3 && architecture != "llama")
        {
            throw Refuse(path, $"rope kind 'llama3' for {architecture}");
        }

        if (config.Rope.Kind == RopeKind.LongRope && architecture is not ("phi3" or "llama"))
        {
            throw Refuse(path, $"rope kind 'longrope' for {architecture}");
        }

        int usual = (architecture, config.LayerCount) is ("gemma2", 46) or ("gemma3", 62) ? config.HiddenSize / config.HeadCount : config.HeadSize;
        if (Math.Abs((config.AttentionScale * MathF.Sqrt(usual)) - 1) > 1e-5)
        {
            throw Refuse(path, $"'query_pre_attn_scalar' {1 / (config.AttentionScale * config.AttentionScale):0.###} with heads of {config.HeadSize}");
        }
    }

    private static ModelFormatException Refuse(string path, string what) =>
        new(path, $"a GGUF file cannot express {what}; llama.cpp would compute something else");
}
