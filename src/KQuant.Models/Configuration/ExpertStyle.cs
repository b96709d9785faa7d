namespace KQuant.Models.Configuration;

/// <summary>How a family spells and weighs its experts.</summary>
internal enum ExpertStyle
{
    None = 0,
    Mixtral,
    Qwen2,
    Qwen3,
    Granite,
    Glm4,
    GptOss,
}
