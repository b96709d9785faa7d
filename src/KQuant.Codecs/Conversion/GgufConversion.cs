using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>A GGUF file, or a checkpoint seen as one, to a GGUF file.</summary>
internal static class GgufConversion
{
    private const string ImatrixFile = "quantize.imatrix.file";
    private const string ImatrixDataset = "quantize.imatrix.dataset";
    private const string ImatrixEntries = "quantize.imatrix.entries_count";
    private const string ImatrixChunks = "quantize.imatrix.chunks_count";

    public static ConversionReport Run(GgufModel source, ConversionJob job) => Write(source.File.Metadata, job, (writer, tensor) =>
    {
        source.File.TryGet(tensor.Name, out GgufTensor? stored);
        writer.Add(stored!);
    });

    public static ConversionReport Run(GgufExport source, ConversionJob job)
    {
        job.Notes.AddRange(source.Notes);
        return Write(source.Metadata, job, (writer, tensor) =>
            writer.Add(tensor.Name, Dimensions(tensor), GgmlType.Of(tensor.Codec!.Format), tensor.CopyTo));
    }

    private static long[] Dimensions(IModelTensorSource tensor) => [.. tensor.Shape.Reverse()];

    private static ConversionReport Write(GgufMetadata metadata, ConversionJob job, Action<GgufWriter, IModelTensorSource> copy)
    {
        if (Directory.Exists(job.Output))
        {
            throw new IOException($"{job.Output} is a folder; a file is to be written.");
        }

        if (!job.Options.Overwrite && File.Exists(job.Output))
        {
            throw new IOException($"{job.Output} exists.");
        }

        var writer = new GgufWriter(metadata);
        writer.Metadata.SetFileType(job.Plan.Codec.Format);
        DescribeImportance(writer.Metadata, job.Options.Importance);
        foreach (PlannedTensor planned in job.Plan.Tensors)
        {
            IModelTensorSource tensor = planned.Source;
            if (planned.Codec is QuantCodec codec)
            {
                writer.Add(tensor.Name, Dimensions(tensor), GgmlType.Of(codec.Format), job.Encode(planned, codec).WriteTo);
            }
            else
            {
                copy(writer, tensor);
            }
        }

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(job.Output))!);
        writer.Write(job.Output, job.Progress, job.CancellationToken);
        return job.Report();
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
