namespace KQuant.Models.Adapters;

/// <summary>How an adapter is written.</summary>
public sealed record AdapterSaveOptions
{
    /// <summary>
    /// The model that it is for. It is needed for GGUF files, for the experts of PEFT, which are named one by one, and where files disagree about
    /// the order of rows or about tied embeddings; null otherwise.
    /// </summary>
    public ModelConfig? Model { get; init; }

    /// <summary>What the file calls that model; null for what the adapter calls it.</summary>
    public string? BaseModel { get; init; }

    /// <summary>
    /// Whether all weights get the largest rank, with zeros: the same function, which mlx-lm can load where ranks differ.
    /// </summary>
    public bool UniformRank { get; init; }

    /// <summary>Whether what is there is replaced.</summary>
    public bool Overwrite { get; init; }
}
