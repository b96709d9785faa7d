using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>What a model may take, and what is known about how much its weights matter.</summary>
public sealed record BudgetOptions
{
    /// <summary>Bytes that the whole may take: a GGUF file, or all tensors of a checkpoint with their headers. Never exceeded.</summary>
    public required long TargetBytes { get; init; }

    /// <summary>The codecs to choose from; empty for those that suit.</summary>
    public IReadOnlyList<QuantCodec> Candidates { get; init; } = [];

    /// <summary>Codecs that are fixed, and tensors that are left alone.</summary>
    public RecipeOptions Fixed { get; init; } = new();

    /// <summary>Weights of a tensor that are encoded to see what a codec does; all of a tensor that has fewer.</summary>
    public long SampleWeights { get; init; } = 1 << 20;
}
