using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models;

/// <summary>The names of tensors in GGUF files and checkpoints, for each architecture that is known.</summary>
public static class ModelTensorNames
{
    /// <summary>The architectures, as GGUF files name them (<c>general.architecture</c>).</summary>
    public static IReadOnlyList<string> Architectures { get; } = [.. ModelFamily.All.Select(family => family.Architecture).Distinct()];

    /// <summary>The names of an architecture.</summary>
    /// <param name="architecture">
    /// A GGUF architecture such as <c>qwen3moe</c>, or a checkpoint's <c>model_type</c> such as <c>qwen3_moe</c>.
    /// </param>
    /// <returns>The names.</returns>
    /// <exception cref="NotSupportedException">The architecture is not known; the message lists those that are.</exception>
    public static TensorNames For(string architecture) => TryFor(architecture, out TensorNames? names)
        ? names
        : throw new NotSupportedException(
            $"The tensor names of architecture '{architecture}' are not known; known are {string.Join(", ", Architectures)}.");

    /// <summary>The names of an architecture, if it is known.</summary>
    /// <param name="architecture">
    /// A GGUF architecture such as <c>qwen3moe</c>, or a checkpoint's <c>model_type</c> such as <c>qwen3_moe</c>; see
    /// <see cref="ModelSource.Architecture"/>.
    /// </param>
    /// <param name="names">The names, or null.</param>
    /// <returns>Whether it is known.</returns>
    public static bool TryFor(string? architecture, [NotNullWhen(true)] out TensorNames? names)
    {
        ModelFamily? family = ModelFamily.All.FirstOrDefault(family => family.Architecture == architecture || family.ModelType == architecture);
        names = family is null ? null : new TensorNames(family.Architecture, family.Tensors.Names, family.Tensors.SingleExperts);
        return names is not null;
    }
}
