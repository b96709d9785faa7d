using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>The kinds of file that a model can be in.</summary>
public enum ModelKind
{
    HuggingFace,
    Mlx,
    Gguf,
}

internal static class ModelKinds
{
    /// <summary>A fixture model in floats, in a kind of file.</summary>
    public static string WriteFloats(string name, ModelKind kind, TemporaryFolder folder)
    {
        string source = RepositoryFiles.Fixture("models", name);
        return kind == ModelKind.HuggingFace
            ? source
            : Convert(source, kind, folder[kind.ToString()], model => QuantizationPlan.Dequantize(
                model, QuantCodec.Get(kind == ModelKind.Mlx ? QuantFormat.F32 : QuantFormat.BF16), allFloats: kind == ModelKind.Mlx));
    }

    /// <summary>A fixture model quantized, as KQuant checkpoint or GGUF.</summary>
    public static string WriteQuantized(string name, ModelKind kind, QuantFormat format, TemporaryFolder folder) => Convert(
        RepositoryFiles.Fixture("models", name),
        kind,
        folder[$"{name}-{kind}-{format}"],
        model => QuantizationPlan.Uniform(model, QuantCodec.Get(format)));

    public static string Convert(string source, ModelKind kind, string output, Func<ModelSource, QuantizationPlan> plan)
    {
        output += kind == ModelKind.Gguf ? ".gguf" : "";
        var folder = ModelFolder.Open(source);
        using ModelSource model = kind == ModelKind.Gguf ? GgufExport.Create(folder) : folder;
        ModelConverter.Convert(plan(model), output);
        return output;
    }
}
