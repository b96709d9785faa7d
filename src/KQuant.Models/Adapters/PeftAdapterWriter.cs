using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>Adapters as PEFT stores them: ranks and alphas that differ stand in patterns.</summary>
internal static class PeftAdapterWriter
{
    private const int Indent = 2;

    public static List<string> Write(LoraAdapter adapter, string folder, AdapterSaveOptions options)
    {
        LoraWeight[] weights = AdapterWriter.WithRows(adapter, asInGguf: false, options.Model);
        if (options.UniformRank)
        {
            int largest = weights.Max(weight => weight.Rank);
            weights = [.. weights.Select(weight => AdapterShaping.Pad(weight, largest))];
        }

        string? architecture = adapter.Architecture ?? options.Model?.Architecture;
        int rank = AdapterWriter.MostFrequent(weights.Select(weight => weight.Rank));
        double alpha = AdapterWriter.MostFrequent(weights.Select(Alpha));
        var writer = new SafetensorsWriter { Metadata = new Dictionary<string, string> { ["format"] = "pt" } };
        JsonObject ranks = [], alphas = [];
        var modules = new List<string>();
        foreach (LoraWeight weight in weights)
        {
            foreach (string module in Add(writer, weight, architecture))
            {
                modules.Add(module);
                if (weight.Rank != rank)
                {
                    ranks.Add(module, weight.Rank);
                }

                if (Alpha(weight) != alpha)
                {
                    alphas.Add(module, Number(Alpha(weight)));
                }
            }
        }

        var targets = new JsonArray();
        foreach (string target in GetTargets(modules, options.Model))
        {
            targets.Add((JsonNode)target);
        }

        var config = new JsonObject
        {
            ["alpha_pattern"] = alphas,
            ["base_model_name_or_path"] = options.BaseModel ?? adapter.BaseModel,
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["lora_alpha"] = Number(alpha),
            ["lora_dropout"] = 0.0,
            ["modules_to_save"] = null,
            ["peft_type"] = "LORA",
            ["r"] = rank,
            ["rank_pattern"] = ranks,
            ["target_modules"] = targets,
            ["task_type"] = "CAUSAL_LM",
            ["use_dora"] = weights[0].IsDora,
            ["use_rslora"] = false,
        };
        AdapterFolder.Write(folder, options.Overwrite, LoraAdapter.PeftName, writer, config, Indent);
        return [];

        static double Alpha(LoraWeight weight) => AdapterWriter.GetAlpha(weight.Scale, weight.Rank);

        static JsonNode Number(double value) => value == Math.Floor(value) && Math.Abs(value) < 1e9 ? JsonValue.Create((long)value) : JsonValue.Create(value);
    }

    /// <summary>Declares the tensors of a weight, and gives its modules.</summary>
    private static List<string> Add(SafetensorsWriter writer, LoraWeight weight, string? architecture)
    {
        string module = AdapterNames.ModuleOf(weight.Name);
        QuantCodec codec = AdapterWriter.FloatCodec(weight);
        ReadOnlySpan<float> a = weight.A.Span, b = weight.B.Span;
        var modules = new List<string>();
        for (int matrix = 0; matrix < weight.Matrices; matrix++)
        {
            if (weight.IsStack)
            {
                AdapterFit.TryGetExpert(weight, architecture!, matrix, out module);
            }

            string prefix = PeftAdapterReader.Prefix + module;
            int ofA = weight.Rank * weight.Inputs, ofB = weight.Outputs * weight.Rank;
            if (AdapterNames.IsEmbedding(module))
            {
                AdapterWriter.Add(writer, prefix + ".lora_embedding_A", codec, [weight.Rank, weight.Outputs], AdapterWriter.Turn(b, weight.Outputs));
                AdapterWriter.Add(writer, prefix + ".lora_embedding_B", codec, [weight.Inputs, weight.Rank], AdapterWriter.Turn(a, weight.Rank));
            }
            else
            {
                AdapterWriter.Add(writer, prefix + ".lora_A.weight", codec, [weight.Rank, weight.Inputs], a.Slice(matrix * ofA, ofA));
                AdapterWriter.Add(writer, prefix + ".lora_B.weight", codec, [weight.Outputs, weight.Rank], b.Slice(matrix * ofB, ofB));
            }

            if (weight.IsDora)
            {
                AdapterWriter.Add(writer, prefix + ".lora_magnitude_vector", QuantCodec.Get(QuantFormat.F32), [weight.Outputs], weight.Magnitude.Span);
            }

            modules.Add(module);
        }

        return modules;
    }

    /// <summary>The last parts of the names where every layer has all of them, else whole names: PEFT takes both.</summary>
    private static IEnumerable<string> GetTargets(List<string> modules, ModelConfig? model)
    {
        string[] inBlocks = [.. modules.Select(AdapterNames.InBlock)];
        int layers = inBlocks.GroupBy(name => name).Max(group => group.Count());
        bool isRegular = inBlocks.GroupBy(name => name).All(group => group.Count() == layers) && modules.All(module => !inBlocks.Contains(module))
            && (model is null || layers == model.LayerCount);
        return isRegular ? inBlocks.Select(name => name[(name.LastIndexOf('.') + 1)..]).Distinct().Order(StringComparer.Ordinal) : modules;
    }
}
