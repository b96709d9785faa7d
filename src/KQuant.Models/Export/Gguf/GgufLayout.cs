namespace KQuant.Models.Export;

/// <summary>
/// The tensors that llama.cpp looks for in a file of one architecture, with their dimensions. It refuses a file that lacks one, and also one
/// that has another beside them.
/// </summary>
internal sealed class GgufLayout
{
    private readonly Dictionary<string, Slot> _slots = [];

    private GgufLayout()
    {
    }

    /// <summary>The tensors of a model.</summary>
    /// <param name="architecture">The GGUF architecture.</param>
    /// <param name="model">Its dimensions.</param>
    public static GgufLayout Create(string architecture, ModelDimensions model)
    {
        var layout = new GgufLayout();
        long hidden = model.HiddenSize;
        layout.Require("token_embd.weight", model.Vocabulary, hidden);
        layout.Require("output_norm.weight", hidden);
        if (architecture != "gemma2")
        {
            layout.Allow("output.weight", model.Vocabulary, hidden);
        }

        for (long i = 0; i < model.Layers; i++)
        {
            layout.AddAttention(architecture, model, $"blk.{i}.");
            layout.AddFeedForward(architecture, model, $"blk.{i}.");
        }

        return layout;
    }

    /// <summary>The dimensions of a tensor, outermost first; null when llama.cpp does not look for it.</summary>
    public long[]? Find(string name) => _slots.TryGetValue(name, out Slot slot) ? slot.Shape : null;

    /// <summary>The first tensor that must be there and is not; null when all are.</summary>
    public string? FindMissing(IReadOnlySet<string> names)
    {
        foreach ((string name, Slot slot) in _slots)
        {
            if (slot.IsRequired && !names.Contains(name))
            {
                return name;
            }
        }

        return null;
    }

    private void AddAttention(string architecture, ModelDimensions model, string layer)
    {
        long hidden = model.HiddenSize, q = model.Heads * model.HeadDimension, kv = model.KeyValueHeads * model.HeadDimension;
        Require(layer + "attn_norm.weight", hidden);
        if (architecture == "phi3")
        {
            Require(layer + "attn_qkv.weight", q + kv + kv, hidden);
        }
        else
        {
            foreach ((string name, long rows) in ((string, long)[])[("attn_q", q), ("attn_k", kv), ("attn_v", kv)])
            {
                Require($"{layer}{name}.weight", rows, hidden);
                Add($"{layer}{name}.bias", isRequired: architecture == "qwen2", rows);
            }
        }

        Require(layer + "attn_output.weight", hidden, q);
        if (architecture == "llama")
        {
            Allow(layer + "attn_output.bias", hidden);
        }

        if (architecture is "qwen3" or "qwen3moe" or "gemma3")
        {
            Require(layer + "attn_q_norm.weight", model.HeadDimension);
            Require(layer + "attn_k_norm.weight", model.HeadDimension);
        }

        if (architecture is "gemma2" or "gemma3")
        {
            Require(layer + "post_attention_norm.weight", hidden);
        }
    }

    private void AddFeedForward(string architecture, ModelDimensions model, string layer)
    {
        long hidden = model.HiddenSize, inner = model.IntermediateSize;
        Require(layer + "ffn_norm.weight", hidden);
        if (architecture is "gemma2" or "gemma3")
        {
            Require(layer + "post_ffw_norm.weight", hidden);
        }

        if (model.Experts > 0)
        {
            Require(layer + "ffn_gate_inp.weight", model.Experts, hidden);
            Require(layer + "ffn_gate_exps.weight", model.Experts, model.ExpertSize, hidden);
            Require(layer + "ffn_up_exps.weight", model.Experts, model.ExpertSize, hidden);
            Require(layer + "ffn_down_exps.weight", model.Experts, hidden, model.ExpertSize);
            return;
        }

        if (architecture == "phi3")
        {
            Require(layer + "ffn_up.weight", 2 * inner, hidden);
        }
        else
        {
            Require(layer + "ffn_gate.weight", inner, hidden);
            Require(layer + "ffn_up.weight", inner, hidden);
        }

        Require(layer + "ffn_down.weight", hidden, inner);
        if (architecture == "llama")
        {
            Allow(layer + "ffn_gate.bias", inner);
            Allow(layer + "ffn_up.bias", inner);
            Allow(layer + "ffn_down.bias", hidden);
        }
    }

    private void Require(string name, params long[] shape) => Add(name, isRequired: true, shape);

    private void Allow(string name, params long[] shape) => Add(name, isRequired: false, shape);

    private void Add(string name, bool isRequired, params long[] shape) => _slots.Add(name, new Slot(shape, isRequired));

    private readonly record struct Slot(long[] Shape, bool IsRequired);
}
