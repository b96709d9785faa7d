namespace KQuant.Codecs.Files;

/// <summary>
/// A model that shows itself as a GGUF file would: tensors under the names, in the order of rows and with the element types of GGUF, and
/// metadata. What is converted to GGUF from elsewhere implements it.
/// </summary>
public interface IGgufSource : IModelSource
{
    /// <summary>The metadata, without the file type.</summary>
    /// <returns>A new table that the caller may change.</returns>
    /// <exception cref="ModelFormatException">Something that GGUF needs is missing, or cannot be expressed there.</exception>
    GgufMetadata CreateMetadata();
}
