namespace KQuant.Models.Adapters;

/// <summary>How an adapter is stored.</summary>
public enum AdapterFormat
{
    /// <summary>A folder of mlx-lm: <c>adapters.safetensors</c> and <c>adapter_config.json</c>.</summary>
    MlxLm,

    /// <summary>A folder of Hugging Face's PEFT: <c>adapter_model.safetensors</c> and <c>adapter_config.json</c>.</summary>
    Peft,

    /// <summary>A GGUF file, as llama.cpp takes it with <c>--lora</c>.</summary>
    Gguf,
}
