namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant lora info --json</c> prints.</summary>
internal sealed record LoraReport(
    string Path,
    string Format,
    string? BaseModel,
    string? Architecture,
    long Parameters,
    bool IsDora,
    IReadOnlyList<float> Scales,
    IReadOnlyList<string> Keys,
    IReadOnlyList<LoraLayerReport> Layers,
    IReadOnlyList<LoraWeightReport> Weights,
    IReadOnlyList<LoraReaderReport> Readers);

/// <summary>The adapted weights of a layer; the layer is -1 outside of layers.</summary>
internal sealed record LoraLayerReport(int Layer, IReadOnlyList<string> Keys, IReadOnlyList<int> Ranks, long Parameters);

/// <summary>One adapted weight.</summary>
internal sealed record LoraWeightReport(string Name, int Rank, float Scale, int Matrices, int Outputs, int Inputs, string Codec, bool IsDora);

/// <summary>Who can load the adapter, and why not.</summary>
internal sealed record LoraReaderReport(string Reader, bool Accepts, string? Reason);
