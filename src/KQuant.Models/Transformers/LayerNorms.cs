namespace KQuant.Models.Transformers;

/// <summary>The weights of a layer's norms. They are small and loaded first, so that a layer that is not there is noticed at its beginning.</summary>
internal sealed class LayerNorms
{
    public LayerNorms(WeightLoader weights)
    {
        int hidden = weights.Config.HiddenSize;
        Input = weights.Norm("input_layernorm", hidden);
        if (weights.Config.HasPostNorms && weights.Contains("post_self_attn_layernorm"))
        {
            // GLM-4 has other names for the same four.
            PostAttention = weights.Norm("post_self_attn_layernorm", hidden);
            FeedForward = weights.Norm("post_attention_layernorm", hidden);
            PostFeedForward = weights.Norm("post_mlp_layernorm", hidden);
        }
        else if (weights.Config.HasPostNorms)
        {
            PostAttention = weights.Norm("post_attention_layernorm", hidden);
            FeedForward = weights.Norm("pre_feedforward_layernorm", hidden);
            PostFeedForward = weights.Norm("post_feedforward_layernorm", hidden);
        }
        else
        {
            // Most families call the norm before the feed-forward layer the one after attention.
            FeedForward = weights.Norm("post_attention_layernorm", hidden);
        }
    }

    public float[] Input { get; }

    public float[]? PostAttention { get; }

    public float[] FeedForward { get; }

    public float[]? PostFeedForward { get; }
}
