namespace KQuant.Codecs.Files;

/// <summary>
/// A model that can be written as a GGUF file: it has the metadata, and lists its tensors under the names, in the order and with the values of
/// that file; where the metadata comes from, and what it says, is known above.
/// </summary>
public abstract class GgufSource : ModelSource
{
    /// <summary>The metadata of the file.</summary>
    public abstract GgufMetadata Metadata { get; }

    /// <summary>What the file will not say that the model said; one sentence each.</summary>
    public virtual IReadOnlyList<string> Notes => [];
}
