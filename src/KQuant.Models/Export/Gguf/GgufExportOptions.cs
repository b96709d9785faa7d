namespace KQuant.Models.Export;

/// <summary>Settings of <see cref="GgufExport"/>.</summary>
public sealed record GgufExportOptions
{
    /// <summary>
    /// <c>general.name</c>; if null, the name of the folder, or of the repository when the folder lies in the Hugging Face cache.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>
    /// llama.cpp's name of the pre-tokenizer (<c>tokenizer.ggml.pre</c>), such as <c>qwen2</c>; if null, it is told by the pattern in
    /// <c>tokenizer.json</c>.
    /// </summary>
    public string? PreTokenizer { get; init; }

    /// <summary>Whether the tokenizer is part of the metadata. Without it llama.cpp cannot load the file; comparing tensors needs none.</summary>
    public bool IncludeTokenizer { get; init; } = true;
}
