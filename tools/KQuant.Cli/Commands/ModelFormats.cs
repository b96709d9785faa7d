using KQuant.Codecs.Files;
using KQuant.Models.Export;

namespace KQuant.Cli.Commands;

/// <summary>The kinds of model that are written.</summary>
internal enum ModelFormat
{
    Mlx = 0,
    Gguf = 1,
}

/// <summary>What several verbs ask about a model.</summary>
internal static class ModelFormats
{
    /// <summary>The kind of model that an output's name asks for.</summary>
    public static ModelFormat FormatOf(string path) =>
        path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? ModelFormat.Gguf : ModelFormat.Mlx;

    /// <summary>Opens a model for a conversion: a checkpoint folder that is to become a GGUF file as what it will be there.</summary>
    /// <param name="path">The model.</param>
    /// <param name="output">What is to be written.</param>
    /// <param name="format">The kind of it.</param>
    /// <param name="export">How a checkpoint becomes a GGUF; null for the default.</param>
    public static ModelSource Open(string path, string output, ModelFormat format, GgufExportOptions? export = null)
    {
        ModelSource source = ModelSource.Open(path);
        try
        {
            return source switch
            {
                ModelFolder folder when format == ModelFormat.Gguf => GgufExport.Create(folder, export),
                GgufModel when format == ModelFormat.Mlx => throw new CommandException(
                    $"{source.Path} is a GGUF file and {output} would be a checkpoint folder; that conversion is not possible, "
                    + "give a name that ends in .gguf as --output."),
                ModelFolder or GgufModel => source,
                _ => throw new CommandException($"{source.Path} is no model: neither a folder with config.json nor a GGUF file."),
            };
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>The checkpoint behind a model; null for a GGUF file.</summary>
    public static ModelFolder? FolderOf(ModelSource source) => source as ModelFolder ?? (source as GgufExport)?.Folder;

    /// <summary>Whether a tensor holds weights in a format that nobody here decodes, rather than integers.</summary>
    public static bool IsUndecodable(ModelTensor tensor) =>
        tensor.Codec is null && !ElementTypes.TryParse(tensor.FormatName, out _);
}
