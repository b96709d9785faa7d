using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>GGUF file to GGUF file, and what shows itself as one.</summary>
internal static class GgufConversion
{
    private const string ImatrixFile = "quantize.imatrix.file";
    private const string ImatrixDataset = "quantize.imatrix.dataset";
    private const string ImatrixEntries = "quantize.imatrix.entries_count";
    private const string ImatrixChunks = "quantize.imatrix.chunks_count";

    public static ConversionReport Run(GgufModel source, ConversionJob job)
    {
        CheckOutput(job);
        var writer = new GgufWriter(source.File.Metadata);
        writer.Metadata.SetFileType(job.Plan.Codec.Format);
        DescribeImportance(writer.Metadata, job.Options.Importance);
        foreach (PlannedTensor planned in job.Plan.Tensors)
        {
            source.File.TryGet(planned.Source.Name, out GgufTensor? tensor);
            if (planned.Codec is QuantCodec codec)
            {
                writer.Add(tensor!.Name, tensor.Dimensions.AsSpan(), GgmlType.Of(codec.Format), job.Encode(planned, codec).WriteTo);
            }
            else
            {
                writer.Add(tensor!);
            }
        }

        return Write(writer, job);
    }

    public static ConversionReport Run(IGgufSource source, ConversionJob job)
    {
        CheckOutput(job);
        GgufMetadata metadata = source.CreateMetadata();
        metadata.SetFileType(job.Plan.Codec.Format);
        DescribeImportance(metadata, job.Options.Importance);
        var writer = new GgufWriter(metadata);
        foreach (PlannedTensor planned in job.Plan.Tensors)
        {
            IModelTensorSource tensor = planned.Source;
            QuantCodec? codec = planned.Codec ?? tensor.Codec;
            if (codec is null)
            {
                Throw.NotWeights(source.Path, tensor.Name, tensor.FormatName);
            }

            long[] dimensions = [.. tensor.Shape.Reverse()];
            Action<Stream> write = planned.Codec is null ? tensor.CopyTo : job.Encode(planned, codec).WriteTo;
            writer.Add(tensor.Name, dimensions, GgmlType.Of(codec.Format), write);
        }

        return Write(writer, job);
    }

    private static ConversionReport Write(GgufWriter writer, ConversionJob job)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(job.Output))!);
        writer.Write(job.Output, job.Progress, job.CancellationToken);
        return job.Report();
    }

    private static void CheckOutput(ConversionJob job)
    {
        if (Directory.Exists(job.Output))
        {
            throw new IOException($"{job.Output} is a folder; a file is to be written.");
        }

        if (!job.Options.Overwrite && File.Exists(job.Output))
        {
            throw new IOException($"{job.Output} exists.");
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
