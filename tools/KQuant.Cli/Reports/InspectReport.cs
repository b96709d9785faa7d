using System.Text.Json.Nodes;

namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant inspect --json</c> prints. The keys of a quantized checkpoint include those of mlx-kquant.</summary>
/// <param name="Model">The path.</param>
/// <param name="Kind">checkpoint, gguf, safetensors or npy.</param>
/// <param name="ModelType">The architecture: a checkpoint's model_type, a GGUF's general.architecture; null if nothing tells.</param>
/// <param name="NumHiddenLayers">The number of layers that the tensors' names show.</param>
/// <param name="Quantization">The mode of a quantized checkpoint, else null.</param>
/// <param name="FileBytes">The length of the files that hold tensors.</param>
/// <param name="TensorBytes">Bytes of all tensors.</param>
/// <param name="Parameters">Weights of all tensors.</param>
/// <param name="BitsPerWeight">Over all tensors.</param>
/// <param name="NumTensors">The number of tensors.</param>
/// <param name="NumQuantized">The number of tensors in block formats.</param>
/// <param name="CodecHistogram">The number of tensors of each block format.</param>
/// <param name="Formats">Sums by format.</param>
/// <param name="Metadata">The keys of a GGUF, or of a safetensors header, or the config of a checkpoint.</param>
/// <param name="Tensors">All tensors.</param>
internal sealed record InspectReport(
    string Model,
    string Kind,
    string? ModelType,
    int NumHiddenLayers,
    string? Quantization,
    long FileBytes,
    long TensorBytes,
    long Parameters,
    double BitsPerWeight,
    int NumTensors,
    int NumQuantized,
    IReadOnlyDictionary<string, int> CodecHistogram,
    IReadOnlyList<FormatReport> Formats,
    JsonObject Metadata,
    IReadOnlyList<InspectedTensor> Tensors)
{
    /// <summary>What the model computes; null for what is no whole model, or one that KQuant does not run.</summary>
    public ArchitectureReport? Architecture { get; init; }

    /// <summary>Why KQuant does not run the model; null where it does, or where there is no model.</summary>
    public string? ArchitectureProblem { get; init; }
}

/// <summary>One tensor.</summary>
/// <param name="Path">Its name without <c>.weight</c>: the path of the module.</param>
/// <param name="Name">Its name.</param>
/// <param name="Kind">embedding, linear or moe for weights of products, else other.</param>
/// <param name="Role">What it does in the model, as far as names tell.</param>
/// <param name="Codec">Its format.</param>
/// <param name="Bits">Bits of one code, without scales; null for a format that is not known.</param>
/// <param name="GroupSize">Weights per block; null for a format that is not known.</param>
/// <param name="BitsPerWeight">With scales; null for a format that is not known.</param>
/// <param name="Bytes">Stored bytes; null for a format that is not known.</param>
/// <param name="LogicalShape">Dimensions, outermost first.</param>
/// <param name="PackedShape">The same with the bytes of a row instead of its weights; null for a format that is not known.</param>
internal sealed record InspectedTensor(
    string Path,
    string Name,
    string Kind,
    string Role,
    string Codec,
    int? Bits,
    int? GroupSize,
    double? BitsPerWeight,
    long? Bytes,
    IReadOnlyList<long> LogicalShape,
    IReadOnlyList<long>? PackedShape)
{
    /// <summary>How far it is from the model it was compared with; null for none.</summary>
    public ErrorReport? Error { get; init; }
}
