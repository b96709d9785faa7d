using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>
/// A named mix of codecs: one for most weights, and lines for those that deserve another. <see cref="All"/> has the presets of mlx-kquant by
/// their names, and those of llama.cpp's llama-quantize with <c>llama.</c> before them.
/// </summary>
public sealed class QuantizationRecipe
{
    internal QuantizationRecipe(string name, QuantFormat codec, GgufFileType? fileType, RecipeRule[] rules)
        : this(name, QuantCodec.Get(codec), fileType, rules)
    {
    }

    private QuantizationRecipe(string name, QuantCodec codec, GgufFileType? fileType, RecipeRule[] rules)
    {
        Name = name;
        Codec = codec;
        FileType = fileType;
        Rules = rules;
    }

    /// <summary>All recipes, in the order of their tables.</summary>
    public static ImmutableArray<QuantizationRecipe> All { get; } = [.. MlxRecipes.All, .. LlamaRecipes.All];

    /// <summary>The name: <c>q4_k_m</c>, <c>llama.q4_k_m</c>.</summary>
    public string Name { get; }

    /// <summary>The codec of the weights that no line is about.</summary>
    public QuantCodec Codec { get; }

    /// <summary>What a GGUF file says it is; null for the codec's own.</summary>
    public GgufFileType? FileType { get; }

    /// <summary>The lines in words, the first that fits a tensor counts: <c>down=q6_k in the first eighth of the layers</c>.</summary>
    public IReadOnlyList<string> Lines => [.. Rules.Select(rule => rule.ToString())];

    /// <summary>Whether it is of no use without an importance matrix.</summary>
    public bool NeedsImportance { get; internal init; }

    /// <summary>Whether it decides as llama.cpp does: what is never quantized, and how layers are counted.</summary>
    internal bool IsLlamaCpp { get; init; }

    internal RecipeRule[] Rules { get; }

    /// <summary>One codec for every weight.</summary>
    /// <param name="codec">A block codec, or a float format.</param>
    /// <returns>A recipe without lines, which has the name of the codec.</returns>
    public static QuantizationRecipe Uniform(QuantCodec codec)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return new QuantizationRecipe(codec.Name, codec, null, []);
    }

    /// <summary>Looks a recipe up.</summary>
    /// <param name="name">Its name in any case.</param>
    /// <param name="recipe">The recipe, or null.</param>
    /// <returns>Whether there is one.</returns>
    public static bool TryParse(string name, [NotNullWhen(true)] out QuantizationRecipe? recipe)
    {
        ArgumentNullException.ThrowIfNull(name);
        recipe = All.FirstOrDefault(candidate => candidate.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        return recipe is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
