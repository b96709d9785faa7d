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

    /// <summary>Whether the probabilities of the chosen experts are divided by their sum.</summary>
    public bool Normalizes { get; init; }

    /// <summary>The least sum that is divided by; 0 for none.</summary>
    public float LeastSum { get; init; }

    /// <summary>Inner width of the expert that every token goes through; 0 for none.</summary>
    public int SharedIntermediateSize { get; init; }

    /// <summary>For every layer whether it has experts; others are dense.</summary>
    public ImmutableArray<bool> Layers { get; init; } = [];
}
