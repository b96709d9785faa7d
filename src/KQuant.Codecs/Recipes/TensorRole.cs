namespace KQuant.Codecs.Recipes;

/// <summary>What a weight does in its model, as far as a recipe cares.</summary>
public enum TensorRole
{
    /// <summary>A matrix that no rule knows.</summary>
    Other,

    /// <summary>A projection of a linear-attention (state-space) block.</summary>
    LinearAttention,

    /// <summary>The output projection of an attention that is not called <c>self_attn</c>.</summary>
    AttentionOutput,

    /// <summary>A projection of self-attention: q, k, v, o, fused, or low-rank.</summary>
    Attention,

    /// <summary>Gate, up or down of the experts that a router chooses from.</summary>
    RoutedExpert,

    /// <summary>Gate, up or down of an expert that every token passes.</summary>
    SharedExpert,

    /// <summary>The matrix that chooses experts, or the gate of a shared expert.</summary>
    Router,

    /// <summary>A projection of a dense feed-forward block.</summary>
    FeedForward,

    /// <summary>The token embedding.</summary>
    Embedding,

    /// <summary>Token embeddings that every layer has of its own.</summary>
    PerLayerEmbedding,

    /// <summary>An embedding of positions or token types.</summary>
    PositionEmbedding,

    /// <summary>The matrix from the last state to logits or classes.</summary>
    OutputHead,

    /// <summary>A convolution kernel.</summary>
    Convolution,

    /// <summary>A normalization.</summary>
    Norm,

    /// <summary>Part of a vision or audio tower, or of the bridge from it.</summary>
    Tower,
}
