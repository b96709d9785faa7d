namespace KQuant.Codecs.Files;

/// <summary>A file beside the weights of a checkpoint.</summary>
/// <param name="RelativePath">Path below the checkpoint folder, with <c>/</c> between folders.</param>
/// <param name="FullPath">Where it is.</param>
public readonly record struct AuxiliaryFile(string RelativePath, string FullPath);
