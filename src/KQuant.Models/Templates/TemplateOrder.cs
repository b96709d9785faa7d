namespace KQuant.Models.Templates;

/// <summary>Where the templates of a folder are looked for first, if they are in several places.</summary>
internal enum TemplateOrder
{
    /// <summary>In files of their own.</summary>
    Transformers,

    /// <summary>In <c>tokenizer_config.json</c>, as llama.cpp's converter does.</summary>
    LlamaCpp,
}
