using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters of PEFT: <c>lora_A.weight</c> [rank, inputs], <c>lora_B.weight</c> [outputs, rank]; embeddings with names of their own.</summary>
internal static class PeftAdapterReader
{
    /// <summary>What PEFT puts before the names of modules.</summary>
    public const string Prefix = "base_model.model.";

    private static readonly (string Suffix, Action<AdapterParts, string, int?, AdapterMatrix> Add)[] Kinds =
    [
        (".lora_A.weight", (parts, module, expert, matrix) => parts.AddA(module, matrix, expert)),
        (".lora_B.weight", (parts, module, expert, matrix) => parts.AddB(module, matrix, expert)),
        (".lora_embedding_A", (parts, module, _, matrix) => parts.AddB(module, matrix.Transposed())),
        (".lora_embedding_B", (parts, module, _, matrix) => parts.AddA(module, matrix.Transposed())),
        (".lora_magnitude_vector", (parts, module, expert, matrix) => parts.AddMagnitude(module, matrix, expert)),
        (".lora_magnitude_vector.weight", (parts, module, expert, matrix) => parts.AddMagnitude(module, matrix, expert)),
    ];

    /// <summary>Whether a config is PEFT's.</summary>
    public static bool IsConfig(JsonObject config) => config.ContainsKey("peft_type");

    public static LoraAdapter Read(string folder, string tensors)
    {
        var config = PeftConfig.Read(Path.Combine(folder, LoraAdapter.ConfigName));
        using SafetensorsFile file = SafetensorsFile.Open(tensors);
        var parts = new AdapterParts(tensors);
        var stored = new Dictionary<(string Module, int? Expert), string>();
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            int kind = Array.FindIndex(Kinds, kind => tensor.Name.EndsWith(kind.Suffix, StringComparison.Ordinal));
            if (kind < 0 || !tensor.Name.StartsWith(Prefix, StringComparison.Ordinal) || IsOfFusedExperts(tensor.Name))
            {
                throw Foreign(tensors, tensor.Name);
            }

            string path = tensor.Name[Prefix.Length..^Kinds[kind].Suffix.Length], module = AdapterNames.Canonical(path);
            int? expert = null;
            if (AdapterNames.TryGetStack(module, out string? stack, out int number))
            {
                (module, expert) = (stack, number);
            }

            stored[(module, expert)] = path;
            var matrix = AdapterMatrix.Read(tensor);
            if (matrix.Shape.Length > 2)
            {
                throw new ModelFormatException(tensors, $"the shape is {matrix.ShapeText}; PEFT has no stacks", tensor.Name);
            }

            Kinds[kind].Add(parts, module, expert, matrix.Shape.Length == 2 ? matrix : matrix with { Shape = [1, matrix.Values.Length] });
        }

        IReadOnlyList<LoraWeight> weights = parts.Build(
            (module, expert, rank) => config.GetScale(stored[(module, expert)], rank),
            (name, a, b, scale, m) => new LoraWeight(name, a, b, scale, m) { OnlyLooksUp = AdapterNames.IsEmbedding(AdapterNames.ModuleOf(name)) });
        if (weights.FirstOrDefault(weight => weight.IsDora != config.IsDora) is { } other)
        {
            throw new ModelFormatException(
                tensors, $"use_dora is {(config.IsDora ? "true" : "false")}, and {other.Name} has {(other.IsDora ? "" : "no ")}lora_magnitude_vector");
        }

        return new LoraAdapter(folder, AdapterFormat.Peft, weights) { BaseModel = config.BaseModel };
    }

    private static bool IsOfFusedExperts(string name) =>
        name.Contains(".experts.lora_", StringComparison.Ordinal) || name.Contains(".experts.base_layer.lora_", StringComparison.Ordinal);

    private static ModelFormatException Foreign(string path, string name)
    {
        string problem = name.EndsWith(".lora_B.bias", StringComparison.Ordinal) ? "an adapter with biases (lora_bias) cannot be used"
            : IsOfFusedExperts(name) ? "adapters of fused experts (target_parameters) cannot be used"
            : name.EndsWith(".weight", StringComparison.Ordinal) && !name.Contains(".lora_", StringComparison.Ordinal)
                ? "this is a whole weight (modules_to_save) and no part of an adapter"
            : "the tensor is no part of an adapter: names are base_model.model.MODULE.lora_A.weight and so on";
        return new ModelFormatException(path, problem, name);
    }
}
