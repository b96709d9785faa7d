namespace KQuant.Codecs.Files;

/// <summary>A file beside the weights of a checkpoint.</summary>
public readonly record struct AuxiliaryFile
{
    /// <summary>Path below the checkpoint folder, with <c>/</c> between folders.</summary>
    public required string RelativePath { get; init; }

    /// <summary>Where it is.</summary>
    public required string FullPath { get; init; }
}
