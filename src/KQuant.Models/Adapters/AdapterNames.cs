using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>The names of modules in adapters, brought to those that the models here have.</summary>
internal static class AdapterNames
{
    private const string Weight = ".weight";

    /// <summary>A module under the name that a language model alone gives it.</summary>
    public static string Canonical(string module) => TensorNames.WithoutLanguageModel(module);

    /// <summary>Whether a module looks tokens up.</summary>
    public static bool IsEmbedding(string module) => module.EndsWith("embed_tokens", StringComparison.Ordinal);

    /// <summary>Whether the rows of a weight are rotated by their positions: queries and keys.</summary>
    public static bool IsRotated(string weight) =>
        weight.EndsWith(".self_attn.q_proj.weight", StringComparison.Ordinal) || weight.EndsWith(".self_attn.k_proj.weight", StringComparison.Ordinal);

    /// <summary>The module of a weight.</summary>
    public static string ModuleOf(string weight) => weight.EndsWith(Weight, StringComparison.Ordinal) ? weight[..^Weight.Length] : weight;

    /// <summary>The name of a module inside of its block; the whole name outside of blocks.</summary>
    public static string InBlock(string module) => TryGetBlock(module, out _, out string? rest) ? rest : module;

    /// <summary>The number of the block of a weight; -1 outside of blocks.</summary>
    public static int LayerOf(string weight) => TryGetBlock(weight, out int layer, out _) ? layer : -1;

    /// <summary>The stack that a single expert belongs to.</summary>
    public static bool TryGetStack(string module, [NotNullWhen(true)] out string? stack, out int expert)
    {
        bool found = ExpertStacks.TryParse(module + Weight, "", out stack, out expert);
        stack = stack is null ? null : ModuleOf(stack);
        return found;
    }

    private static bool TryGetBlock(string name, out int layer, [NotNullWhen(true)] out string? rest)
    {
        const string blocks = "model.layers.";
        layer = -1;
        rest = null;
        int end = name.StartsWith(blocks, StringComparison.Ordinal) ? name.IndexOf('.', blocks.Length) : -1;
        if (end < 0 || !int.TryParse(name.AsSpan(blocks.Length, end - blocks.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return false;
        }

        (layer, rest) = (number, name[(end + 1)..]);
        return true;
    }
}
