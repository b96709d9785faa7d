using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters of llama.cpp: a GGUF file with <c>blk.0.attn_q.weight.lora_a</c> [rank, inputs] and <c>lora_b</c> [outputs, rank].</summary>
internal static class GgufAdapterReader
{
    private const string A = ".lora_a";
    private const string B = ".lora_b";

    public static LoraAdapter Read(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        string kind = file.Metadata.Get("general.type", "model");
        if (kind != "adapter")
        {
            throw new ModelFormatException(path, $"general.type is '{Printable.Shorten(kind)}' and not 'adapter'");
        }

        string type = file.Metadata.Get<string>("adapter.type");
        if (type != "lora")
        {
            throw new ModelFormatException(path, $"adapter.type is '{Printable.Shorten(type)}' and not 'lora'");
        }

        if (file.Metadata.ContainsKey("adapter.alora.invocation_tokens"))
        {
            throw new ModelFormatException(path, "the adapter acts behind certain tokens only (adapter.alora.invocation_tokens), which cannot be computed here");
        }

        string architecture = file.Metadata.Get<string>("general.architecture");
        if (!ModelTensorNames.TryFor(architecture, out TensorNames? names))
        {
            throw new ModelFormatException(path, $"the tensor names of architecture '{Printable.Shorten(architecture)}' are not known");
        }

        double alpha = file.Metadata.TryGetValue("adapter.lora.alpha", out _) ? file.Metadata.GetNumber("adapter.lora.alpha") : 0;
        var parts = new AdapterParts(path);
        foreach (GgufTensor tensor in file.Tensors)
        {
            string part = tensor.Name.EndsWith(A, StringComparison.Ordinal) ? A : tensor.Name.EndsWith(B, StringComparison.Ordinal) ? B
                : throw new ModelFormatException(path, "the tensor is no part of an adapter: names end in .lora_a or .lora_b", tensor.Name);
            const string suffix = ".weight";
            if (!names.TryToCheckpoint(tensor.Name[..^part.Length], out string? weight) || !weight.EndsWith(suffix, StringComparison.Ordinal))
            {
                throw new ModelFormatException(path, $"architecture '{Printable.Shorten(architecture)}' has no weight of this name", tensor.Name);
            }

            string module = weight[..^suffix.Length];
            var matrix = AdapterMatrix.Read(path, tensor);

            // An embedding has [tokens, rank] and [values, rank]: its B, and its A turned round.
            bool isEmbedding = AdapterNames.IsEmbedding(module);
            if (part == A != isEmbedding)
            {
                parts.AddA(module, isEmbedding && matrix.Shape.Length == 2 ? matrix.Transposed() : matrix);
            }
            else
            {
                parts.AddB(module, matrix);
            }
        }

        bool permutes = AdapterFit.Permutes(architecture);
        IReadOnlyList<LoraWeight> weights = parts.Build(
            (_, _, rank) => (float)(alpha == 0 ? 1 : alpha / rank),
            (name, a, b, scale, m) => new LoraWeight(name, a, b, scale, m)
            {
                HasGgufRows = permutes && AdapterNames.IsRotated(name),
                OnlyLooksUp = AdapterNames.IsEmbedding(AdapterNames.ModuleOf(name)),
            });
        return new LoraAdapter(path, AdapterFormat.Gguf, weights)
        {
            Architecture = architecture,
            BaseModel = file.Metadata.TryGet<string>("general.base_model.0.name", out string? name) ? name : null,
        };
    }
}
