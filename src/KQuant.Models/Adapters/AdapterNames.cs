using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>The names of modules in adapters, brought to those that the models here have.</summary>
internal static class AdapterNames
{
    /// <summary>A module under the name that a language model alone gives it.</summary>
    public static string Canonical(string module) => TensorNames.WithoutLanguageModel(module);

    /// <summary>Whether a module looks tokens up.</summary>
    public static bool IsEmbedding(string module) => module.EndsWith("embed_tokens", StringComparison.Ordinal);

    /// <summary>Whether the rows of a weight are rotated by their positions: queries and keys.</summary>
    public static bool IsRotated(string weight) =>
        weight.EndsWith(".self_attn.q_proj.weight", StringComparison.Ordinal) || weight.EndsWith(".self_attn.k_proj.weight", StringComparison.Ordinal);

    /// <summary>The stack that a single expert belongs to.</summary>
    public static bool TryGetStack(string module, [NotNullWhen(true)] out string? stack, out int expert)
    {
        const string suffix = ".weight";
        bool found = ExpertStacks.TryParse(module + suffix, "", out stack, out expert);
        stack = stack?[..^suffix.Length];
        return found;
    }
}
