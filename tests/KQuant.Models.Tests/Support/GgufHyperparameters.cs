using KQuant.Codecs.Files;

namespace KQuant.Models.Tests;

/// <summary>The keys of a GGUF file that say what a model computes, with the types that llama.cpp insists on.</summary>
internal static class GgufHyperparameters
{
    public static void Write(GgufMetadata metadata, ModelConfig config)
    {
        string prefix = config.Architecture + ".";
        metadata.Set("general.architecture", GgufValue.From(config.Architecture));
        metadata.Set("general.type", GgufValue.From("model"));
        Count("block_count", config.LayerCount);
        Count("context_length", config.ContextLength);
        Count("embedding_length", config.HiddenSize);
        Count("feed_forward_length", config.IntermediateSize);
        Count("attention.head_count", config.HeadCount);
        Count("attention.head_count_kv", config.KeyValueHeadCount);
        Count("attention.key_length", config.HeadSize);
        Count("attention.value_length", config.HeadSize);
        Number("attention.layer_norm_rms_epsilon", config.NormEpsilon);
        Count("vocab_size", config.VocabularySize);
        Count("rope.dimension_count", config.Rope.Dimensions);
        Number("rope.freq_base", config.Rope.Theta);
        if (config.LocalRope is { } local)
        {
            Number("rope.freq_base_swa", local.Theta);
        }

        WriteScaling(config);
        if (config.Windows.FirstOrDefault(window => window > 0) is > 0 and int window)
        {
            Count("attention.sliding_window", window);
            if (config.Architecture is "gemma2" or "gemma3")
            {
                metadata.SetArray<bool>(prefix + "attention.sliding_window_pattern", [.. config.Windows.Select(width => width > 0)]);
            }
        }

        if (config.AttentionSoftCap > 0)
        {
            Number("attn_logit_softcapping", config.AttentionSoftCap);
        }

        if (config.LogitSoftCap > 0)
        {
            Number("final_logit_softcapping", config.LogitSoftCap);
        }

        if (config.Experts is { } experts)
        {
            Count("expert_count", experts.Count);
            Count("expert_used_count", experts.PerToken);
            if (config.Architecture != "llama")
            {
                Count("expert_feed_forward_length", experts.IntermediateSize);
            }

            if (experts.SharedIntermediateSize > 0)
            {
                Count("expert_shared_feed_forward_length", experts.SharedIntermediateSize);
            }
        }

        void WriteScaling(ModelConfig model)
        {
            RopeConfig rope = model.Rope;
            switch (rope.Kind)
            {
                case RopeKind.Linear:
                    metadata.Set(prefix + "rope.scaling.type", GgufValue.From("linear"));
                    Number("rope.scaling.factor", rope.Factor);
                    break;
                case RopeKind.Yarn:
                    metadata.Set(prefix + "rope.scaling.type", GgufValue.From("yarn"));
                    Number("rope.scaling.factor", rope.Factor);
                    Count("rope.scaling.original_context_length", rope.OriginalContext);
                    break;
                case RopeKind.LongRope:
                    if (model.Architecture == "llama")
                    {
                        metadata.Set(prefix + "rope.scaling.type", GgufValue.From("longrope"));
                    }

                    Count("rope.scaling.original_context_length", rope.OriginalContext);
                    Number("rope.scaling.attn_factor", rope.AttentionFactor);
                    break;
            }
        }

        void Count(string key, int value) => metadata.Set(prefix + key, GgufValue.From((uint)value));
        void Number(string key, float value) => metadata.Set(prefix + key, GgufValue.From(value));
    }
}
