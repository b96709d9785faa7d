using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters of mlx-lm: <c>lora_a</c> [inputs, rank], <c>lora_b</c> [rank, outputs] and <c>m</c>; stacks the other way round.</summary>
internal static class MlxAdapterReader
{
    private const string A = ".lora_a";
    private const string B = ".lora_b";
    private const string Magnitude = ".m";

    public static LoraAdapter Read(string folder, string tensors)
    {
        string configPath = Path.Combine(folder, LoraAdapter.ConfigName);
        JsonObject config = ConfigFile.Read(configPath);
        (float scale, bool isDora) = ReadConfig(configPath, config);
        using SafetensorsFile file = SafetensorsFile.Open(tensors);
        var parts = new AdapterParts(tensors);
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            string name = tensor.Name;
            string part = name.EndsWith(A, StringComparison.Ordinal) ? A : name.EndsWith(B, StringComparison.Ordinal) ? B
                : isDora && name.EndsWith(Magnitude, StringComparison.Ordinal) ? Magnitude
                : throw new ModelFormatException(tensors, "the tensor is no part of an adapter: names end in .lora_a, .lora_b or, with DoRA, .m", name);
            string module = AdapterNames.Canonical(name[..^part.Length]);
            var matrix = AdapterMatrix.Read(tensor);

            // An embedding keeps the factors of its rows in "a", which is B here.
            bool isEmbedding = AdapterNames.IsEmbedding(module);
            AdapterMatrix oriented = part == Magnitude || isEmbedding || matrix.Shape.Length != 2 ? matrix : matrix.Transposed();
            if (part == Magnitude)
            {
                parts.AddMagnitude(module, oriented);
            }
            else if (part == A != isEmbedding)
            {
                parts.AddA(module, oriented);
            }
            else
            {
                parts.AddB(module, oriented);
            }
        }

        IReadOnlyList<LoraWeight> weights = parts.Build((_, _, _) => scale, (name, a, b, s, m) => new LoraWeight(name, a, b, s, m));
        if (isDora && weights.FirstOrDefault(weight => !weight.IsDora) is { } plain)
        {
            throw new ModelFormatException(tensors, $"fine_tune_type is dora, and {plain.Name} has no lengths (.m)");
        }

        return new LoraAdapter(folder, AdapterFormat.MlxLm, weights) { BaseModel = config["model"].AsString() };
    }

    private static (float Scale, bool IsDora) ReadConfig(string path, JsonObject config)
    {
        string kind = config["fine_tune_type"].AsString() ?? "lora";
        if (kind == "full")
        {
            throw new ModelFormatException(path, "fine_tune_type is full: the tensors are whole weights and no adapter");
        }

        if (kind is not ("lora" or "dora"))
        {
            throw new ModelFormatException(path, $"fine_tune_type is '{Printable.Shorten(kind)}'; lora and dora are known");
        }

        if (config["lora_parameters"] is not JsonObject parameters)
        {
            throw new ModelFormatException(path, "lora_parameters is missing");
        }

        double rank = parameters["rank"].AsNumber() ?? throw new ModelFormatException(path, "lora_parameters.rank is missing");
        if (rank < 1 || rank != Math.Floor(rank))
        {
            throw new ModelFormatException(path, FormattableString.Invariant($"lora_parameters.rank is {rank}"));
        }

        double scale = parameters["scale"].AsNumber() ?? throw new ModelFormatException(path, "lora_parameters.scale is missing");
        return ((float)scale, kind == "dora");
    }
}
