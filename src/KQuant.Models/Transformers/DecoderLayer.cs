using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>One layer: attention and a feed-forward layer, each between norms, each added to the stream.</summary>
internal sealed unsafe class DecoderLayer
{
    private readonly float[] _inputNorm;
    private readonly float[]? _postAttentionNorm;
    private readonly float[] _feedForwardNorm;
    private readonly float[]? _postFeedForwardNorm;

    /// <param name="weights">The weights of the layer.</param>
    /// <param name="attention">How its tokens see one another.</param>
    /// <param name="feedForward">What it does with each.</param>
    public DecoderLayer(WeightLoader weights, LayerAttention attention, LayerFeedForward feedForward)
    {
        Attention = attention;
        FeedForward = feedForward;
        int hidden = weights.Config.HiddenSize;
        _inputNorm = weights.Norm("input_layernorm", hidden);
        if (weights.Config.HasPostNorms)
        {
            _postAttentionNorm = weights.Norm("post_attention_layernorm", hidden);
            _feedForwardNorm = weights.Norm("pre_feedforward_layernorm", hidden);
            _postFeedForwardNorm = weights.Norm("post_feedforward_layernorm", hidden);
        }
        else
        {
            // Most families call the norm before the feed-forward layer the one after attention.
            _feedForwardNorm = weights.Norm("post_attention_layernorm", hidden);
        }
    }

    public LayerAttention Attention { get; }

    public LayerFeedForward FeedForward { get; }

    /// <summary>Computes what the layer adds to the stream. The last addition happens with the next norm.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="activations">Where to compute.</param>
    /// <param name="step">The step.</param>
    public void Forward(ResidualStream stream, LayerActivations activations, StepContext step)
    {
        long values = (long)step.Rows * stream.Width;
        stream.Normalize(_inputNorm, activations.AttentionInput.Reserve(values), step);
        Keep(activations.Input);
        Attention.Forward(activations, step);
        stream.Add(activations.AttentionOutput, _postAttentionNorm, step.Rows, activations.KeepsAll);
        stream.Normalize(_feedForwardNorm, activations.FeedForwardInput.Reserve(values), step);
        Keep(activations.Middle);
        FeedForward.Forward(activations, step);
        stream.Add(activations.FeedForwardOutput, _postFeedForwardNorm, step.Rows, activations.KeepsAll);

        void Keep(NativeBuffer<float> target)
        {
            if (activations.KeepsAll)
            {
                target.Copy(stream.Values, values);
            }
        }
    }
}
