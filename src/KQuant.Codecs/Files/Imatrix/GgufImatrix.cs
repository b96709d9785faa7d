using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>Importance matrices as GGUF files; key and tensor names are llama.cpp's (tools/imatrix).</summary>
internal static class GgufImatrix
{
    private const string SumSuffix = ".in_sum2";
    private const string InputSuffix = ".in_sum";

    /// <summary>Only here: other readers pass over what they do not know.</summary>
    private const string LossSuffix = ".loss";
    private const string CountSuffix = ".counts";
    private const string DatasetsKey = "imatrix.datasets";
    private const string ChunkCountKey = "imatrix.chunk_count";
    private const string ChunkSizeKey = "imatrix.chunk_size";
    private const string PartKey = "imatrix.part";
    private const string OriginKey = "imatrix.part_of";

    // As many as llama.cpp allows experts, with a wide margin.
    private const int MaxExperts = 1 << 16;

    public static ImportanceMatrix Open(string path)
    {
        GgufFile file = GgufFile.Open(path);
        try
        {
            var matrix = new ImportanceMatrix(file, ImportanceFormat.Gguf)
            {
                ChunkCount = (int)Math.Min(int.MaxValue, file.Metadata.Get(ChunkCountKey, 0u)),
                ChunkSize = (int)Math.Min(int.MaxValue, file.Metadata.Get(ChunkSizeKey, 0u)),
                Datasets = file.Metadata.ContainsKey(DatasetsKey) ? file.Metadata.GetStrings(DatasetsKey) : [],
            };
            if (file.Metadata.ContainsKey(PartKey))
            {
                string part = file.Metadata.Get(PartKey, "");
                matrix.Part = JobShard.TryParse(part, out JobShard? shard)
                    ? new ImportancePart { Shard = shard, Origin = file.Metadata.Get(OriginKey, "") }
                    : throw new ModelFormatException(path, $"{PartKey} is '{Printable.Shorten(part)}'; something like 2/8 was expected");
            }

            foreach (GgufTensor tensor in file.Tensors)
            {
                AddEntry(matrix, file, tensor);
            }

            return matrix.Entries.Count > 0
                ? matrix
                : throw new ModelFormatException(path, $"this is no importance matrix: no tensor has a name that ends in {SumSuffix}");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public static void Write(ImportanceMatrix matrix, string path, Func<string, string> rename, CancellationToken cancellationToken)
    {
        var writer = new GgufWriter();
        writer.Metadata.Set("general.type", "imatrix");
        writer.Metadata.SetStrings(DatasetsKey, matrix.Datasets);
        writer.Metadata.Set(ChunkCountKey, (uint)matrix.ChunkCount);
        writer.Metadata.Set(ChunkSizeKey, (uint)matrix.ChunkSize);
        if (matrix.Part is ImportancePart part)
        {
            writer.Metadata.Set(PartKey, part.Shard.ToString());
            writer.Metadata.Set(OriginKey, part.Origin);
        }

        foreach (ImportanceEntry entry in matrix.Entries)
        {
            string name = rename(entry.Name);
            int experts = entry.ExpertCount;
            writer.Add(
                name + SumSuffix, new QuantShape(experts, checked((int)(entry.ValueCount / experts))), QuantFormat.F32,
                stream => stream.Write(MemoryMarshal.AsBytes(entry.GetSums().AsSpan())));
            if (entry.HasInputSums)
            {
                writer.Add(
                    name + InputSuffix, new QuantShape(experts, checked((int)(entry.ValueCount / experts))), QuantFormat.F32,
                    stream => stream.Write(MemoryMarshal.AsBytes(entry.GetInputSums().AsSpan())));
            }

            if (entry.LossPerError is double loss)
            {
                float[] value = [(float)loss];
                writer.Add(name + LossSuffix, new QuantShape(1, 1), QuantFormat.F32, stream => stream.Write(MemoryMarshal.AsBytes(value.AsSpan())));
            }

            writer.Add(
                name + CountSuffix, new QuantShape(experts, 1), QuantFormat.F32,
                stream => stream.Write(MemoryMarshal.AsBytes(Array.ConvertAll(entry.GetDivisors(), count => (float)count).AsSpan())));
        }

        writer.Write(path, null, cancellationToken);
    }

    private static void AddEntry(ImportanceMatrix matrix, GgufFile file, GgufTensor tensor)
    {
        if (tensor.Name.EndsWith(CountSuffix, StringComparison.Ordinal))
        {
            string sums = tensor.Name[..^CountSuffix.Length] + SumSuffix;
            if (!file.TryGet(sums, out _))
            {
                throw tensor.Error($"there are counts without sums: no tensor '{Printable.Shorten(sums)}'");
            }
        }

        if (!tensor.Name.EndsWith(SumSuffix, StringComparison.Ordinal))
        {
            return;
        }

        string name = tensor.Name[..^SumSuffix.Length];
        FloatRegion values = AsFloats(tensor);
        FloatRegion? inputs = file.TryGet(name + InputSuffix, out GgufTensor? inputSums) ? AsFloats(inputSums) : null;
        if (inputs is FloatRegion found && found.Count != values.Count)
        {
            throw tensor.Error($"{values.Count} sums of squares for {found.Count} sums of inputs");
        }

        double? loss = file.TryGet(name + LossSuffix, out GgufTensor? losses) ? ReadLoss(losses) : null;
        ImportanceEntry entry;
        if (file.TryGet(name + CountSuffix, out GgufTensor? counts))
        {
            FloatRegion countValues = AsFloats(counts);
            if (countValues.Count > MaxExperts || values.Count % countValues.Count != 0)
            {
                throw tensor.Error($"{values.Count} sums for {countValues.Count} counts: there must be as many for each count");
            }

            entry = new ImportanceEntry(file.Path, name, values, null, countValues, valuesAreMeans: false, inputs) { LossPerError = loss };
        }
        else
        {
            entry = new ImportanceEntry(file.Path, name, values, [1], null, valuesAreMeans: false, inputs) { LossPerError = loss };
        }

        // Tensor names are unique, so these are too.
        matrix.Add(entry);
    }

    private static double ReadLoss(GgufTensor tensor)
    {
        FloatRegion region = AsFloats(tensor);
        return region.Count == 1 && region.ToArray()[0] is >= 0 and < float.PositiveInfinity and float value
            ? value
            : throw tensor.Error("the loss is one number that is finite and not negative");
    }

    private static FloatRegion AsFloats(GgufTensor tensor)
    {
        if (tensor.TypeId != (uint)QuantFormat.F32)
        {
            throw tensor.Error($"the type is {tensor.TypeName}; f32 was expected");
        }

        return tensor.ElementCount > 0
            ? new FloatRegion(tensor.File, tensor.Offset, tensor.ElementCount)
            : throw tensor.Error("there are no values");
    }
}
