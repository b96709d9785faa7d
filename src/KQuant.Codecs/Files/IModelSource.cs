using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>A model opened for reading: a table of tensors, and nothing in memory but the table.</summary>
public interface IModelSource : IDisposable
{
    /// <summary>The path that was opened.</summary>
    string Path { get; }

    /// <summary>
    /// What kind of model it is, for those who know architectures: a GGUF's <c>general.architecture</c>, a checkpoint's
    /// <c>model_type</c>; null when nothing tells.
    /// </summary>
    string? Architecture { get; }

    /// <summary>All tensors, in an order that reads the files from front to back.</summary>
    IReadOnlyList<IModelTensorSource> Tensors { get; }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, or null.</param>
    /// <returns>Whether there is one.</returns>
    bool TryGetTensor(string name, [NotNullWhen(true)] out IModelTensorSource? tensor);
}
