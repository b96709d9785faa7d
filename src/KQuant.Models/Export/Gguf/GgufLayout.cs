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
            layout.AddFeedForward(family, config, $"blk.{i}.");
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
        RequireBias(layer + "attn_output.bias", family.IsLlama && config.HasOutputBias, hidden);
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

    private void AddFeedForward(ModelFamily family, ModelConfig config, string layer)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize;
        Require(layer + "ffn_norm.weight", hidden);
        if (config.HasPostNorms)
        {
            Require(layer + "post_ffw_norm.weight", hidden);
        }

        if (config.Experts is ExpertConfig experts)
        {
            Require(layer + "ffn_gate_inp.weight", experts.Count, hidden);
            Require(layer + "ffn_gate_exps.weight", experts.Count, experts.IntermediateSize, hidden);
            Require(layer + "ffn_up_exps.weight", experts.Count, experts.IntermediateSize, hidden);
            Require(layer + "ffn_down_exps.weight", experts.Count, hidden, experts.IntermediateSize);
            return;
        }

        if (family.Architecture == "phi3")
        {
            Require(layer + "ffn_up.weight", 2 * inner, hidden);
        }
        else
        {
            Require(layer + "ffn_gate.weight", inner, hidden);
            Require(layer + "ffn_up.weight", inner, hidden);
        }

        Require(layer + "ffn_down.weight", hidden, inner);
        bool hasBias = family.IsLlama && config.HasFeedForwardBias;
        RequireBias(layer + "ffn_gate.bias", hasBias, inner);
        RequireBias(layer + "ffn_up.bias", hasBias, inner);
        RequireBias(layer + "ffn_down.bias", hasBias, hidden);
    }

    private void RequireBias(string name, bool isThere, long size)
    {
        if (isThere)
        {
            Require(name, size);
        }
    }

    private void Require(string name, params long[] shape) => _shapes.Add(name, shape);
}
