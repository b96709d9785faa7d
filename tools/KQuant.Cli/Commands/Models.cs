using KQuant.Codecs.Files;
using KQuant.Models.Conversion;

namespace KQuant.Cli.Commands;

/// <summary>The kinds of model that are written.</summary>
internal enum ModelFormat
{
    Mlx = 0,
    Gguf = 1,
}

/// <summary>What several verbs ask about a model.</summary>
internal static class Models
{
    /// <summary>The kind of model that an output's name asks for.</summary>
    public static ModelFormat FormatOf(string path) =>
        path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? ModelFormat.Gguf : ModelFormat.Mlx;

    /// <summary>Opens a model in the form that it is written in: a checkpoint folder that becomes a GGUF file is shown as one.</summary>
    public static IModelSource Open(string path, ModelFormat format)
    {
        IModelSource source = ModelSource.Open(path);
        try
        {
            return source is ModelFolder { QuantizationMode: null or "kquant" } folder && format == ModelFormat.Gguf ? new GgufView(folder) : source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Refuses what cannot be converted into each other.</summary>
    public static void CheckFormat(IModelSource source, string output, ModelFormat format)
    {
        switch (source)
        {
            case GgufModel when format == ModelFormat.Mlx:
                throw new CommandException(
                    $"{source.Path} is a GGUF file and {output} would be a checkpoint folder; that conversion is not possible yet, "
                    + "give a name that ends in .gguf as --output.");
            case not (ModelFolder or IGgufSource or GgufModel):
                throw new CommandException($"{source.Path} is no model: neither a folder with config.json nor a GGUF file.");
        }
    }

    /// <summary>Whether a tensor holds weights in a format that nobody here decodes, rather than integers.</summary>
    public static bool IsUndecodable(IModelTensorSource tensor) =>
        tensor.Codec is null && !ElementTypes.TryParse(tensor.FormatName, out _);
}
