using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;
using KQuant.Models.Export;

namespace KQuant.Models;

/// <summary>What an architecture asks of a model's tensors.</summary>
public static class ModelLayout
{
    /// <summary>
    /// Compares the tensors of a GGUF file, or of what will become one, with those that llama.cpp looks for: all must be there, with the
    /// dimensions that follow from the metadata. For <see cref="Codecs.Conversion.VerificationOptions.FindProblems"/>.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <returns>
    /// What is wrong, one sentence each. Nothing for a model of another kind, of an architecture that is not written here, or whose
    /// metadata describes no model.
    /// </returns>
    public static IEnumerable<string> FindProblems(ModelSource model)
    {
        ArgumentNullException.ThrowIfNull(model);
        ModelFamily? family = ModelFamily.With(FamilySupport.Export).FirstOrDefault(family => family.Architecture == model.Architecture);
        return family is not null && model is GgufSource source && TryRead(source) is ModelConfig config && config.LayerCount <= source.Tensors.Count
            ? GgufLayout.Create(family, config).FindProblems(source)
            : [];
    }

    private static ModelConfig? TryRead(GgufSource source)
    {
        try
        {
            return ModelConfig.Read(source);
        }
        catch (Exception exception) when (exception is ModelFormatException or NotSupportedException)
        {
            // Whoever loads the model is told; here there is nothing to compare with.
            return null;
        }
    }
}
