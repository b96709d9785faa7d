using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Export;

/// <summary>
/// The tensors that llama.cpp looks for in a file of one architecture, with their dimensions. It refuses a file that lacks one, and also one
/// that has another beside them.
/// </summary>
internal sealed class GgufLayout
{
    private readonly Dictionary<string, long[]> _shapes = [];

    private GgufLayout()
    {
    }

    /// <summary>The tensors of a model.</summary>
    /// <param name="family">Its family.</param>
    /// <param name="config">Its configuration.</param>
    public static GgufLayout Create(ModelFamily family, ModelConfig config)
    {
        var layout = new GgufLayout();
        long hidden = config.HiddenSize;
        layout.Require("token_embd.weight", config.VocabularySize, hidden);
        layout.Require("output_norm.weight", hidden);
        if (!config.TiesEmbedding && family.Architecture != "gemma2")
        {
            layout.Require("output.weight", config.VocabularySize, hidden);
        }

        for (int i = 0; i < config.LayerCount; i++)
        {
            layout.AddAttention(family, config, $"blk.{i}.");
            layout.AddFeedForward(family, config, i);
        }

        return layout;
    }

    /// <summary>The dimensions of a tensor, outermost first; null when llama.cpp does not look for it.</summary>
    public long[]? Find(string name) => _shapes.GetValueOrDefault(name);

    /// <summary>The first tensor that must be there and is not; null when all are.</summary>
    public string? FindMissing(IReadOnlySet<string> names) => _shapes.Keys.FirstOrDefault(name => !names.Contains(name));

    /// <summary>Tensors of a file that are missing, or have other dimensions; one sentence each.</summary>
    public IEnumerable<string> FindProblems(GgufSource model)
    {
        foreach ((string name, long[] shape) in _shapes)
        {
            if (!model.TryGetTensor(name, out ModelTensor? tensor))
            {
                yield return $"{name} is missing; architecture '{model.Architecture}' needs it.";
            }
            else if (!tensor.Shape.AsSpan().SequenceEqual(shape))
            {
                yield return $"{name} is [{string.Join(", ", tensor.Shape)}]; the metadata makes it [{string.Join(", ", shape)}].";
            }
        }
    }

    private void AddAttention(ModelFamily family, ModelConfig config, string layer)
    {
        long hidden = config.HiddenSize, size = config.HeadSize, q = config.HeadCount * size, kv = config.KeyValueHeadCount * size;
        Require(layer + "attn_norm.weight", hidden);
        if (family.Architecture == "phi3")
        {
            Require(layer + "attn_qkv.weight", q + kv + kv, hidden);
        }
        else
        {
            foreach ((string name, long rows) in ((string, long)[])[("attn_q", q), ("attn_k", kv), ("attn_v", kv)])
            {
                Require($"{layer}{name}.weight", rows, hidden);
                RequireBias($"{layer}{name}.bias", config.HasProjectionBias, rows);
            }
        }

        Require(layer + "attn_output.weight", hidden, q);
        RequireBias(layer + "attn_output.bias", family.BiasesInGguf && config.HasOutputBias, hidden);
        if (config.HasSinks)
        {
            Require(layer + "attn_sinks.weight", config.HeadCount);
        }

        if (config.HasHeadNorms)
        {
            Require(layer + "attn_q_norm.weight", size);
            Require(layer + "attn_k_norm.weight", size);
        }

        if (config.HasPostNorms)
        {
            Require(layer + "post_attention_norm.weight", hidden);
        }
    }

    private void AddFeedForward(ModelFamily family, ModelConfig config, int index)
    {
        string layer = $"blk.{index}.";
        long hidden = config.HiddenSize, inner = config.IntermediateSize;

        // Two families call the norm before the feed-forward part what others call the one behind attention.
        Require(layer + (family.Experts is ExpertStyle.Glm4 or ExpertStyle.GptOss ? "post_attention_norm.weight" : "ffn_norm.weight"), hidden);
        if (config.HasPostNorms)
        {
            Require(layer + "post_ffw_norm.weight", hidden);
        }

        if (config.HasExperts(index))
        {
            AddExperts(config.Experts!, hidden, layer);
            return;
        }

        if (family.FusesGateInGguf)
        {
            Require(layer + "ffn_up.weight", 2 * inner, hidden);
        }
        else
        {
            Require(layer + "ffn_gate.weight", inner, hidden);
            Require(layer + "ffn_up.weight", inner, hidden);
        }

        Require(layer + "ffn_down.weight", hidden, inner);
        bool hasBias = family.BiasesInGguf && config.HasFeedForwardBias;
        RequireBias(layer + "ffn_gate.bias", hasBias, inner);
        RequireBias(layer + "ffn_up.bias", hasBias, inner);
        RequireBias(layer + "ffn_down.bias", hasBias, hidden);
    }

    private void AddExperts(ExpertConfig experts, long hidden, string layer)
    {
        long count = experts.Count, inner = experts.IntermediateSize, shared = experts.SharedIntermediateSize;
        Require(layer + "ffn_gate_inp.weight", count, hidden);
        RequireBias(layer + "ffn_gate_inp.bias", experts.HasBias, count);
        RequireBias(layer + "exp_probs_b.bias", experts.HasChoiceBias, count);
        foreach ((string name, long rows, long columns) in ((string, long, long)[])[("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)])
        {
            Require($"{layer}ffn_{name}_exps.weight", count, rows, columns);
            RequireBias($"{layer}ffn_{name}_exps.bias", experts.HasBias, count, rows);
        }

        if (shared == 0)
        {
            return;
        }

        if (experts.HasSharedGate)
        {
            Require(layer + "ffn_gate_inp_shexp.weight", hidden);
        }

        Require(layer + "ffn_gate_shexp.weight", shared, hidden);
        Require(layer + "ffn_up_shexp.weight", shared, hidden);
        Require(layer + "ffn_down_shexp.weight", hidden, shared);
    }

    private void RequireBias(string name, bool isThere, params long[] shape)
    {
        if (isThere)
        {
            Require(name, shape);
        }
    }

    private void Require(string name, params long[] shape) => _shapes.Add(name, shape);
}
