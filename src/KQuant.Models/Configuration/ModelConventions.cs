namespace KQuant.Models;

/// <summary>
/// Whose behaviour to follow where implementations disagree about the same checkpoint: sliding windows of Mistral, Qwen and Phi-3, the
/// switch between the frequencies of longrope, renormalized expert weights, the rounding of Gemma's embedding scale and GELU, YaRN's
/// attention factor.
/// </summary>
public enum ModelConventions
{
    /// <summary>Hugging Face's for checkpoint folders, llama.cpp's for GGUF files.</summary>
    FromFile = 0,

    /// <summary>Those of Hugging Face transformers.</summary>
    HuggingFace,

    /// <summary>Those of llama.cpp.</summary>
    LlamaCpp,
}
