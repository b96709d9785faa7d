using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>A GGUF file, or another model seen as one, to a GGUF file.</summary>
internal static class GgufConversion
{
    private const string ImatrixFile = "quantize.imatrix.file";
    private const string ImatrixDataset = "quantize.imatrix.dataset";
    private const string ImatrixEntries = "quantize.imatrix.entries_count";
    private const string ImatrixChunks = "quantize.imatrix.chunks_count";

    public static ConversionReport Run(GgufSource source, ConversionJob job)
    {
        job.Notes.AddRange(source.Notes);
        OutputPlace.CheckFile(job.Output);

        if (!job.Options.Overwrite && File.Exists(job.Output))
        {
            throw new IOException($"{job.Output} exists.");
        }

        GgufWriter writer = Declare(source, job.Plan, job.Options, (planned, codec) => job.Encode(planned, codec).WriteTo);
        using var above = FoldersAbove.Create(job.Output);
        writer.Write(job.Output, job.Progress, job.CancellationToken);
        return job.Report();
    }

    /// <summary>Bytes of the file that a plan would make.</summary>
    public static long MeasureLength(GgufSource source, QuantizationPlan plan, ConversionOptions options) =>
        Declare(source, plan, options, (_, _) => _ => { }).FileLength;

    private static GgufWriter Declare(
        GgufSource source, QuantizationPlan plan, ConversionOptions options, Func<PlannedTensor, QuantCodec, Action<Stream>> encode)
    {
        var writer = new GgufWriter(source.Metadata);
        if (plan.FileType is GgufFileType fileType)
        {
            writer.Metadata.SetFileType(fileType);
        }
        else
        {
            writer.Metadata.SetFileType(plan.Codec);
        }

        DescribeImportance(writer.Metadata, options.Importance);
        foreach (PlannedTensor planned in plan.Tensors)
        {
            ModelTensor tensor = planned.Source;
            if (planned.Codec is QuantCodec codec)
            {
                writer.Add(tensor.Name, Dimensions(tensor), GgmlType.Of(codec), encode(planned, codec));
            }
            else
            {
                Copy(writer, tensor);
            }
        }

        return writer;
    }

    private static long[] Dimensions(ModelTensor tensor) => [.. tensor.Shape.Reverse()];

    /// <summary>Tensors of a GGUF file are copied whatever their type, those of other models need a codec.</summary>
    private static void Copy(GgufWriter writer, ModelTensor tensor)
    {
        if (tensor is GgufModel.Source stored)
        {
            writer.Add(stored.Stored);
        }
        else
        {
            writer.Add(tensor.Name, Dimensions(tensor), GgmlType.Of(tensor.Codec!), tensor.CopyTo);
        }
    }

    /// <summary>The keys with which llama.cpp notes what a model was quantized with; only the name of the file, not its place.</summary>
    private static void DescribeImportance(GgufMetadata metadata, ImportanceMap? importance)
    {
        if (importance is null)
        {
            return;
        }

        ImportanceMatrix matrix = importance.Matrix;
        if (matrix.Path is string path)
        {
            metadata.Set(ImatrixFile, Path.GetFileName(path));
        }

        if (matrix.Datasets.Count > 0)
        {
            metadata.Set(ImatrixDataset, matrix.Datasets[0]);
        }

        metadata.Set(ImatrixEntries, (uint)matrix.Entries.Count);
        if (matrix.ChunkCount > 0)
        {
            metadata.Set(ImatrixChunks, (uint)matrix.ChunkCount);
        }
    }
}
