using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters as mlx-lm stores them: one scale and one rank for all.</summary>
internal static class MlxAdapterWriter
{
    private const int Indent = 4;

    public static List<string> Write(LoraAdapter adapter, string folder, AdapterSaveOptions options)
    {
        var notes = new List<string>();
        LoraWeight[] weights = AdapterWriter.WithRows(adapter, asInGguf: false, options.Model);
        int rank = weights.Max(weight => weight.Rank);
        if (options.UniformRank)
        {
            weights = [.. weights.Select(weight => AdapterShaping.Pad(weight, rank))];
        }
        else if (AdapterFit.WhyUneven(adapter) is { } uneven)
        {
            notes.Add($"{uneven}; with a uniform rank it would.");
        }

        float scale = AdapterWriter.MostFrequent(weights.Select(weight => weight.Scale));
        int other = weights.Count(weight => weight.Scale != scale);
        if (other > 0)
        {
            weights = [.. weights.Select(weight => AdapterShaping.Rescale(weight, scale))];
            notes.Add(FormattableString.Invariant($"{other} weights have another scale than {scale}, which is multiplied into their B."));
        }

        bool isDora = weights[0].IsDora;
        var writer = new SafetensorsWriter();
        foreach (LoraWeight weight in weights)
        {
            string module = AdapterNames.ModuleOf(weight.Name);
            QuantCodec codec = AdapterWriter.FloatCodec(weight);
            if (weight.IsStack)
            {
                AdapterWriter.Add(writer, module + ".lora_a", codec, [weight.Matrices, weight.Rank, weight.Inputs], weight.A.Span);
                AdapterWriter.Add(writer, module + ".lora_b", codec, [weight.Matrices, weight.Outputs, weight.Rank], weight.B.Span);
            }
            else if (AdapterNames.IsEmbedding(module))
            {
                AdapterWriter.Add(writer, module + ".lora_a", codec, [weight.Outputs, weight.Rank], weight.B.Span);
                AdapterWriter.Add(writer, module + ".lora_b", codec, [weight.Rank, weight.Inputs], weight.A.Span);
            }
            else
            {
                AdapterWriter.Add(writer, module + ".lora_a", codec, [weight.Inputs, weight.Rank], AdapterWriter.Turn(weight.A.Span, weight.Rank));
                AdapterWriter.Add(writer, module + ".lora_b", codec, [weight.Rank, weight.Outputs], AdapterWriter.Turn(weight.B.Span, weight.Outputs));
            }

            if (isDora)
            {
                AdapterWriter.Add(writer, module + ".m", QuantCodec.Get(QuantFormat.F32), [weight.Outputs], weight.Magnitude.Span);
            }
        }

        var keys = new JsonArray();
        foreach (string key in weights.Select(weight => AdapterNames.InBlock(AdapterNames.ModuleOf(weight.Name))).Distinct())
        {
            keys.Add((JsonNode)key);
        }

        var config = new JsonObject
        {
            ["fine_tune_type"] = isDora ? "dora" : "lora",
            ["lora_parameters"] = new JsonObject
            {
                ["dropout"] = 0.0,
                ["keys"] = keys,
                ["rank"] = rank,
                ["scale"] = AdapterWriter.Decimal(scale),
            },
            ["model"] = options.BaseModel ?? adapter.BaseModel ?? "",

            // All blocks: those that the adapter leaves alone get terms of zero.
            ["num_layers"] = -1,
        };
        AdapterFolder.Write(folder, options.Overwrite, LoraAdapter.MlxName, writer, config, Indent);
        return notes;
    }
}
