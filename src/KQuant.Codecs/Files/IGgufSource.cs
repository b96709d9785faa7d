namespace KQuant.Codecs.Files;

/// <summary>
/// What a model needs besides its tensors to be written as a GGUF file. A model that has it lists its tensors under the names, in the order
/// and with the values of that file; where the metadata comes from, and what it says, is known above.
/// </summary>
public interface IGgufSource
{
    /// <summary>The metadata of the file.</summary>
    GgufMetadata Metadata { get; }

    /// <summary>What the file will not say that the model said; one sentence each.</summary>
    IReadOnlyList<string> Notes { get; }
}
