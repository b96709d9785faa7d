using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters as llama.cpp takes them: one alpha for all, over the rank of each.</summary>
internal static class GgufAdapterWriter
{
    public static List<string> Write(LoraAdapter adapter, string path, AdapterSaveOptions options)
    {
        if (File.Exists(path) && !options.Overwrite)
        {
            throw new IOException($"{path} exists.");
        }

        var notes = new List<string>();
        string architecture = (adapter.Architecture ?? options.Model?.Architecture)!;
        LoraWeight[] weights = AdapterWriter.WithRows(adapter, AdapterFit.Permutes(architecture), options.Model);
        bool sharesAlpha = weights.Select(weight => (float)AdapterWriter.GetAlpha(weight.Scale, weight.Rank)).Distinct().Count() == 1;
        int rank = weights.Max(weight => weight.Rank);
        if (options.UniformRank || (!sharesAlpha && weights.Any(weight => weight.Rank != rank)))
        {
            weights = [.. weights.Select(weight => AdapterShaping.Pad(weight, rank))];
            if (!options.UniformRank)
            {
                notes.Add($"All weights get the largest rank, {rank}, with zeros: a GGUF adapter has one alpha for all.");
            }

            sharesAlpha = weights.Select(weight => weight.Scale).Distinct().Count() == 1;
        }

        if (!sharesAlpha)
        {
            float scale = AdapterWriter.MostFrequent(weights.Select(weight => weight.Scale));
            notes.Add(FormattableString.Invariant(
                $"{weights.Count(weight => weight.Scale != scale)} weights have another scale than {scale}, which is multiplied into their B."));
            weights = [.. weights.Select(weight => AdapterShaping.Rescale(weight, scale))];
        }

        float alpha = FindAlpha(weights[0].Scale, weights[0].Rank);
        if (alpha / weights[0].Rank != weights[0].Scale)
        {
            notes.Add(FormattableString.Invariant($"The scale {weights[0].Scale:R} becomes {alpha / weights[0].Rank:R}, alpha {alpha:R} over rank {weights[0].Rank}."));
        }

        var writer = new GgufWriter();
        writer.Metadata.Set("general.architecture", architecture);
        writer.Metadata.Set("general.type", "adapter");
        writer.Metadata.Set("adapter.type", "lora");
        if ((options.BaseModel ?? adapter.BaseModel) is { Length: > 0 } model)
        {
            writer.Metadata.Set("general.base_model.count", 1u);
            writer.Metadata.Set("general.base_model.0.name", model);
        }

        writer.Metadata.Set("adapter.lora.alpha", alpha);
        foreach (LoraWeight weight in weights)
        {
            AdapterFit.TryGetGguf(weight, architecture, out string name);
            QuantCodec codec = AdapterWriter.FloatCodec(weight);
            var type = GgmlType.Of(codec);
            if (AdapterNames.IsEmbedding(AdapterNames.ModuleOf(weight.Name)))
            {
                writer.Add(name + ".lora_a", [weight.Rank, weight.Outputs], type, AdapterWriter.Encode(codec, weight.B.Span));
                writer.Add(name + ".lora_b", [weight.Rank, weight.Inputs], type, AdapterWriter.Encode(codec, AdapterWriter.Turn(weight.A.Span, weight.Rank)));
                continue;
            }

            writer.Add(name + ".lora_a", [weight.Inputs, weight.Rank, weight.Matrices], type, AdapterWriter.Encode(codec, weight.A.Span));
            writer.Add(name + ".lora_b", [weight.Rank, weight.Outputs, weight.Matrices], type, AdapterWriter.Encode(codec, weight.B.Span));
        }

        writer.Write(path);
        return notes;
    }

    /// <summary>The alpha in float32 that gives a scale exactly, if there is one; a scale of 0 has none, because alpha 0 stands for 1.</summary>
    private static float FindAlpha(float scale, int rank)
    {
        float alpha = (float)AdapterWriter.GetAlpha(scale, rank);
        foreach (float near in (ReadOnlySpan<float>)[alpha, float.BitDecrement(alpha), float.BitIncrement(alpha)])
        {
            if (near != 0 && near / rank == scale)
            {
                return near;
            }
        }

        return alpha == 0 ? throw new NotSupportedException("A scale of 0 cannot be written: in a GGUF adapter alpha 0 stands for a scale of 1.") : alpha;
    }
}
