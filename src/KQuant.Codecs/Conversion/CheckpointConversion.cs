using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>Checkpoint folder to checkpoint folder.</summary>
internal static class CheckpointConversion
{
    private static readonly string[] TypeKeys = ["torch_dtype", "dtype"];

    public static ConversionReport Run(ModelFolder source, ConversionJob job)
    {
        Check(source, job.Plan);
        AuxiliaryFiles auxiliary = AuxiliaryFiles.Find(source.Path);
        AddNotes(source, auxiliary, job);
        var writer = new CheckpointWriter(ConfigOf(source, job), job.Options.MaxShardBytes);
        foreach (PlannedTensor planned in job.Plan.Tensors)
        {
            if (job.Options.ExpertNames is TensorNames names && TryNameExperts(planned, names, out string[]? experts))
            {
                AddExperts(writer, planned, experts, job);
            }
            else if (planned.Codec is { Planes.Length: > 1 } planes)
            {
                writer.AddPlanes(planned.Source.Name, planes, planned.Source.Shape.AsSpan(), job.Encode(planned, planes).WritePlaneTo);
            }
            else if (planned.Codec is QuantCodec codec)
            {
                writer.Add(planned.Source.Name, codec, planned.Source.Shape.AsSpan(), job.Encode(planned, codec).WriteTo);
            }
            else
            {
                writer.Add(planned.Source);
            }
        }

        writer.Write(job.Output, auxiliary, job.Options.Overwrite, job.Progress, job.CancellationToken);
        return job.Report();
    }

    /// <summary>Refuses what cannot become a checkpoint.</summary>
    public static void Check(ModelFolder source, QuantizationPlan plan)
    {
        if (!source.IsDecodable)
        {
            throw new NotSupportedException($"{source.Path} is quantized with mode '{source.QuantizationMode}', which is not read here.");
        }

        ModelStructure.CheckComplete(source);
        if (!plan.Codec.IsQuantized && plan.Tensors.FirstOrDefault(IsOpaque)?.Source is ModelTensor opaque)
        {
            throw new NotSupportedException(
                $"{source.Path}: tensor '{opaque.Name}' is stored as bytes, and config.json names no codec for it; it would stay undecoded.");
        }
    }

    /// <summary>The names of the single experts of a stack, if it will hold floats and they have names.</summary>
    private static bool TryNameExperts(PlannedTensor planned, TensorNames names, [NotNullWhen(true)] out string[]? experts)
    {
        experts = null;
        if (planned.Source.Shape.Length != 3 || planned.Role != TensorRole.RoutedExpert
            || (planned.Codec ?? planned.Source.Codec) is not { IsQuantized: false }
            || !names.TryToGguf(planned.Source.Name, out string? stack) || !names.TryToExpert(stack, 0, out _))
        {
            return false;
        }

        experts = new string[planned.Source.Shape[0]];
        for (int expert = 0; expert < experts.Length; expert++)
        {
            names.TryToExpert(stack, expert, out string? name);
            experts[expert] = name!;
        }

        return true;
    }

    private static void AddExperts(CheckpointWriter writer, PlannedTensor planned, string[] experts, ConversionJob job)
    {
        QuantCodec codec = (planned.Codec ?? planned.Source.Codec)!;
        EncodedTensor encoding = job.Encode(planned, codec);
        QuantShape shape = planned.Source.GetQuantShape();
        for (int i = 0; i < experts.Length; i++)
        {
            int expert = i;
            writer.Add(experts[i], codec, [shape.Rows, shape.Columns], stream => encoding.WriteExpertTo(stream, expert));
        }
    }

    /// <summary>Whether a tensor holds weights as bytes of which nobody knows what they are.</summary>
    private static bool IsOpaque(PlannedTensor planned) =>
        planned.Codec is null && planned.Source is { Codec: null, FormatName: "u8", Shape.Length: > 1 };

    private static void AddNotes(ModelFolder source, AuxiliaryFiles auxiliary, ConversionJob job)
    {
        foreach (IGrouping<string, DroppedTensor> group in source.Dropped.GroupBy(dropped => dropped.Reason))
        {
            job.Notes.Add(
                $"{group.Count()} stored tensors are left out, {group.Key}: {group.First().Name}{(group.Count() > 1 ? ", ..." : "")}.");
        }

        if (source.Weights.StaleIndex is string index)
        {
            job.Notes.Add($"{index} is ignored: none of its shards exists, and model.safetensors does.");
        }

        foreach (AuxiliaryFile skipped in auxiliary.Skipped)
        {
            job.Notes.Add($"{skipped.RelativePath} is a link that leads out of the folder and is not copied.");
        }
    }

    /// <summary>The config of the source. When all weights become floats of one type, it says so.</summary>
    private static JsonObject ConfigOf(ModelFolder source, ConversionJob job)
    {
        var config = (JsonObject)source.Config.DeepClone();
        string? type = job.Plan.Codec.Format switch
        {
            QuantFormat.F32 => "float32",
            QuantFormat.F16 => "float16",
            QuantFormat.BF16 => "bfloat16",
            _ => null,
        };
        foreach (JsonObject? part in (JsonObject?[])[config, config["text_config"] as JsonObject])
        {
            foreach (string key in TypeKeys.Where(key => type is not null && part?.ContainsKey(key) == true))
            {
                part![key] = type;
            }
        }

        return config;
    }
}
