using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>What a kind of checkpoint becomes in a GGUF, as llama.cpp's converter has it.</summary>
/// <param name="ModelType">The checkpoint's <c>model_type</c>.</param>
/// <param name="Architecture">The GGUF architecture.</param>
/// <param name="Activation">The activation that llama.cpp applies; nothing in a file chooses another.</param>
internal sealed record GgufFamily(string ModelType, string Architecture, string Activation)
{
    private static readonly GgufFamily[] All =
    [
        new("llama", "llama", "silu") { PermutesRows = true },
        new("mistral", "llama", "silu") { PermutesRows = true },
        new("mixtral", "llama", "silu") { PermutesRows = true },
        new("qwen2", "qwen2", "silu"),
        new("qwen3", "qwen3", "silu"),
        new("qwen3_moe", "qwen3moe", "silu"),
        new("gemma2", "gemma2", "gelu_pytorch_tanh") { AddsOneToNorms = true },
        new("gemma3_text", "gemma3", "gelu_pytorch_tanh") { AddsOneToNorms = true },
        new("phi3", "phi3", "silu"),
    ];

    /// <summary>Whether the rows of q and k change their order.</summary>
    public bool PermutesRows { get; init; }

    /// <summary>Whether norms are stored as 1 + w.</summary>
    public bool AddsOneToNorms { get; init; }

    /// <summary>Whether this is one of the kinds that share architecture <c>llama</c>.</summary>
    public bool IsLlama => Architecture == "llama";

    public bool IsGemma => AddsOneToNorms;

    /// <summary>The kind of a checkpoint.</summary>
    /// <exception cref="NotSupportedException">It is none of these; the message lists them.</exception>
    public static GgufFamily Of(ModelFolder folder)
    {
        // A multimodal Gemma 3 keeps its language model's values in text_config, where everything else looks first.
        string? type = folder.ModelType == "gemma3" ? "gemma3_text" : folder.ModelType;
        return All.FirstOrDefault(family => family.ModelType == type) ?? throw new NotSupportedException(
            $"{folder.Path}: model type '{Printable.Shorten(folder.ModelType ?? "")}' cannot become a GGUF here; the types are "
            + $"{string.Join(", ", All.Select(family => family.ModelType))}.");
    }

    /// <summary>Dimensions of a head that are rotated.</summary>
    public long RotaryDimensions(ModelDimensions model) => Architecture == "phi3"
        ? (long)(model.Rope.PartialRotaryFactor * model.HiddenSize) / model.Heads
        : model.HeadDimension;
}
