using System.Collections.Immutable;

namespace KQuant.Models;

/// <summary>The mixture of experts of a model.</summary>
public sealed record ExpertConfig
{
    /// <summary>The smallest normal binary16 number, below which llama.cpp takes no sum of probabilities for one.</summary>
    internal const float LlamaCppLeastSum = 6.103515625e-5f;

    /// <summary>Experts of a layer.</summary>
    public required int Count { get; init; }

    /// <summary>Experts that a token goes through.</summary>
    public required int PerToken { get; init; }

    /// <summary>Inner width of an expert.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>How scores become weights.</summary>
    public RouterScore Score { get; init; }

    /// <summary>Whether a bias for every expert is added to its weight for the choice, and only for that (DeepSeek-V3).</summary>
    public bool HasChoiceBias { get; init; }

    /// <summary>Whether the weights of the chosen experts are divided by their sum.</summary>
    public bool Normalizes { get; init; }

    /// <summary>The least sum that is divided by; 0 for none.</summary>
    public float LeastSum { get; init; }

    /// <summary>What weights are multiplied with at last.</summary>
    public float WeightScale { get; init; } = 1;

    /// <summary>Whether the router and the matrices of experts have biases (gpt-oss).</summary>
    public bool HasBias { get; init; }

    /// <summary>Inner width of the expert that every token goes through; 0 for none.</summary>
    public int SharedIntermediateSize { get; init; }

    /// <summary>Whether the output of that expert is multiplied with the sigmoid of a score of its own (Qwen).</summary>
    public bool HasSharedGate { get; init; }

    /// <summary>For every layer whether it has experts; others are dense.</summary>
    public ImmutableArray<bool> Layers { get; init; } = [];
}
