using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.Models.Weights;

namespace KQuant.Models.Transformers;

/// <summary>The weights of one layer.</summary>
internal sealed class TransformerLayer
{
    public TransformerLayer(ModelConfig config, ModelWeights weights, int layer)
    {
        string prefix = $"model.layers.{layer}.";
        int hidden = config.HiddenSize;
        InputNorm = Norm(config, weights, prefix + "input_layernorm", hidden);
        string afterAttention = prefix + "post_attention_layernorm";
        if (config.HasPostNorms)
        {
            PostAttentionNorm = Norm(config, weights, afterAttention, hidden);
            FeedForwardNorm = Norm(config, weights, prefix + "pre_feedforward_layernorm", hidden);
            PostFeedForwardNorm = Norm(config, weights, prefix + "post_feedforward_layernorm", hidden);
        }
        else
        {
            FeedForwardNorm = Norm(config, weights, afterAttention, hidden);
        }

        string attention = prefix + "self_attn.";
        int queryWidth = config.HeadCount * config.HeadSize;
        int keyWidth = config.KeyValueHeadCount * config.HeadSize;
        int all = queryWidth + (2 * keyWidth);
        var projection = new Projection(weights, attention + "qkv_proj", all, config.HasProjectionBias);
        Query = projection.Get(attention + "q_proj", 0, queryWidth, hidden);
        Key = projection.Get(attention + "k_proj", queryWidth, keyWidth, hidden);
        Value = projection.Get(attention + "v_proj", queryWidth + keyWidth, keyWidth, hidden);
        Output = Linear(weights, attention + "o_proj", hidden, queryWidth, config.HasOutputBias);
        if (config.HasHeadNorms)
        {
            QueryNorm = Norm(config, weights, attention + "q_norm", config.HeadSize);
            KeyNorm = Norm(config, weights, attention + "k_norm", config.HeadSize);
        }

        if (config.HasExperts(layer))
        {
            Experts = new ExpertLayer(config, weights, prefix);
        }
        else
        {
            var gates = new Projection(weights, prefix + "mlp.gate_up_proj", 2 * config.IntermediateSize, config.HasFeedForwardBias);
            Gate = gates.Get(prefix + "mlp.gate_proj", 0, config.IntermediateSize, hidden);
            Up = gates.Get(prefix + "mlp.up_proj", config.IntermediateSize, config.IntermediateSize, hidden);
            Down = Linear(weights, prefix + "mlp.down_proj", hidden, config.IntermediateSize, config.HasFeedForwardBias);
        }
    }

    public float[] InputNorm { get; }

    public float[]? PostAttentionNorm { get; }

    public float[] FeedForwardNorm { get; }

    public float[]? PostFeedForwardNorm { get; }

    public float[]? QueryNorm { get; }

    public float[]? KeyNorm { get; }

    public QuantizedLinear Query { get; }

    public QuantizedLinear Key { get; }

    public QuantizedLinear Value { get; }

    public QuantizedLinear Output { get; }

    public QuantizedLinear? Gate { get; }

    public QuantizedLinear? Up { get; }

    public QuantizedLinear? Down { get; }

    /// <summary>The mixture of experts in place of gate, up and down; or null.</summary>
    public ExpertLayer? Experts { get; }

    public static float[] Norm(ModelConfig config, ModelWeights weights, string name, int length)
    {
        float[] values = weights.Vector(name + ".weight", length);
        if (config.NormsAddOne)
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] += 1;
            }
        }

        return values;
    }

    public static QuantizedLinear Linear(ModelWeights weights, string name, int rows, int columns, bool hasBias) =>
        new(weights.Matrix(name + ".weight", rows, columns), hasBias ? weights.Vector(name + ".bias", rows) : default);

    /// <summary>Matrices that a checkpoint keeps one by one, or as the rows of a fused one.</summary>
    private readonly struct Projection(ModelWeights weights, string fused, int allRows, bool hasBias)
    {
        private readonly bool _isFused = weights.Contains(fused + ".weight");
        private readonly float[]? _bias = hasBias && weights.Contains(fused + ".bias") ? weights.Vector(fused + ".bias", allRows) : null;

        public QuantizedLinear Get(string name, int firstRow, int rows, int columns)
        {
            if (!_isFused)
            {
                return Linear(weights, name, rows, columns, hasBias);
            }

            QuantizedTensor part = weights.Rows(fused + ".weight", firstRow, rows, allRows, columns);
            return new QuantizedLinear(part, _bias is null ? default : _bias.AsMemory(firstRow, rows));
        }
    }
}
