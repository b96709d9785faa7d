using System.Text.RegularExpressions;

namespace KQuant.Codecs.Recipes;

/// <summary>What is to be otherwise than a recipe has it. <see cref="EmbeddingCodec"/> and <see cref="OutputCodec"/> come first, then the first override that matches.</summary>
public sealed record RecipeOptions
{
    /// <summary>Codecs by name; the first that matches counts.</summary>
    public IReadOnlyList<TensorOverride> Overrides { get; init; } = [];

    /// <summary>Tensors that keep what they have, found anywhere in the name.</summary>
    public IReadOnlyList<Regex> Excluded { get; init; } = [];

    /// <summary>The codec of the matrix that makes logits; null for the recipe's.</summary>
    public QuantCodec? OutputCodec { get; init; }

    /// <summary>The codec of the token embedding; null for the recipe's.</summary>
    public QuantCodec? EmbeddingCodec { get; init; }

    /// <summary>Whether the lines of the recipe do not count: its codec for everything.</summary>
    public bool IsPure { get; init; }

    /// <summary>Whether there is an importance matrix: some lines ask.</summary>
    public bool HasImportance { get; init; }

    /// <summary>Whether weights that are quantized already are decoded and encoded again.</summary>
    public bool Requantize { get; init; }
}
