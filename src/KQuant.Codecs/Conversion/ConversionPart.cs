using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// A part of a conversion: a safetensors file with the encoded tensors of one share, each plane as bytes, what they were made from and with
/// in its metadata, and behind them their digests.
/// </summary>
internal sealed class ConversionPart : IDisposable
{
    /// <summary>Of the file of a part.</summary>
    public const string Extension = ".safetensors";

    private const string Kind = "kquant-part", KindKey = "format", ShardKey = "part", DigestName = "#digests";

    private readonly SafetensorsFile _file;
    private readonly PartDigests _digests;
    private readonly Dictionary<string, int> _planes;

    private ConversionPart(SafetensorsFile file, PartDigests digests, Dictionary<string, int> planes) => (_file, _digests, _planes) = (file, digests, planes);

    /// <summary>The tensors of a share: those that are encoded, balanced by the bytes that are read for them. Others are copied in the end.</summary>
    public static PlannedTensor[] TensorsOf(QuantizationPlan plan, JobShard shard)
    {
        PlannedTensor[] encoded = [.. plan.Tensors.Where(tensor => tensor.Codec is not null)];
        return [.. shard.Choose([.. encoded.Select(tensor => tensor.Source.ByteCount)]).Select(i => encoded[i])];
    }

    /// <summary>Encodes a share and writes it.</summary>
    public static void Write(string path, JobShard shard, PartIdentity identity, ConversionJob job)
    {
        PlannedTensor[] tensors = TensorsOf(job.Plan, shard);
        var metadata = identity.Facts.ToDictionary(fact => fact.Key, fact => fact.Value);
        metadata.Add(KindKey, Kind);
        metadata.Add(ShardKey, shard.ToString());
        var writer = new SafetensorsWriter { Metadata = metadata, KeepsOrder = true };
        var digests = new PartDigests(tensors.Sum(tensor => tensor.Codec!.Planes.Length));
        int count = 0;
        foreach (PlannedTensor planned in tensors)
        {
            QuantCodec codec = planned.Codec!;
            EncodedTensor encoding = job.Encode(planned, codec);
            for (int i = 0; i < codec.Planes.Length; i++)
            {
                int plane = i, line = count++;
                writer.Add(NameOf(planned, plane), ElementType.U8, [BytesOf(planned, plane)], stream =>
                {
                    using var hashing = new HashingStream(stream);
                    if (codec.Planes.Length == 1)
                    {
                        encoding.WriteTo(hashing);
                    }
                    else
                    {
                        encoding.WritePlaneTo(hashing, plane);
                    }

                    digests.Set(line, hashing.GetHash(), encoding.Error);
                });
            }
        }

        // The last one: it is asked for its bytes when all others have been written.
        writer.Add(DigestName, ElementType.U8, [digests.ByteCount], digests.WriteTo);
        using var above = FoldersAbove.Create(path);
        writer.Write(path, job.Progress, job.CancellationToken);
    }

    /// <summary>Opens a part and checks that it is what it should be; its bytes are checked when they are read.</summary>
    /// <exception cref="ModelFormatException">It is not.</exception>
    public static ConversionPart Open(string path, JobShard shard, PartIdentity identity, QuantizationPlan plan)
    {
        SafetensorsFile file = SafetensorsFile.Open(path);
        try
        {
            if (file.Metadata.GetValueOrDefault(KindKey) != Kind)
            {
                throw new ModelFormatException(path, "this is no part of a conversion");
            }

            string found = file.Metadata.GetValueOrDefault(ShardKey) ?? "";
            if (found != shard.ToString())
            {
                throw new ModelFormatException(path, $"the content is part {Printable.Shorten(found)}, not {shard}");
            }

            foreach ((string key, string value, string name) in identity.Facts)
            {
                string other = file.Metadata.GetValueOrDefault(key) ?? "";
                if (other != value)
                {
                    throw new ModelFormatException(path, $"the part was made from or with {name}: {key} '{Printable.Shorten(other)}' instead of '{value}'");
                }
            }

            var planes = new Dictionary<string, int>();
            foreach (PlannedTensor planned in TensorsOf(plan, shard))
            {
                for (int plane = 0; plane < planned.Codec!.Planes.Length; plane++)
                {
                    string name = NameOf(planned, plane);
                    Find(file, name, BytesOf(planned, plane));
                    planes.Add(name, planes.Count);
                }
            }

            var digests = new PartDigests(planes.Count);
            SafetensorsTensor stored = Find(file, DigestName, digests.ByteCount);
            byte[] table = new byte[digests.ByteCount];
            stored.ReadBytes(0, table);
            return digests.TryRead(table) ? new ConversionPart(file, digests, planes) : throw Damaged(path, DigestName);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a tensor is in this part.</summary>
    public bool Holds(PlannedTensor planned) => _planes.ContainsKey(NameOf(planned, 0));

    /// <summary>The error that was measured when a tensor was encoded.</summary>
    public WeightError? ErrorOf(PlannedTensor planned) => _digests.GetError(_planes[NameOf(planned, 0)]);

    /// <summary>Writes a plane and checks it.</summary>
    /// <exception cref="ModelFormatException">The bytes are damaged.</exception>
    public void CopyPlaneTo(PlannedTensor planned, int plane, Stream stream)
    {
        const int CopyBytes = 1 << 20;
        string name = NameOf(planned, plane);
        _file.TryGet(name, out SafetensorsTensor? tensor);
        byte[] buffer = new byte[(int)Math.Min(CopyBytes, Math.Max(1, tensor!.ByteCount))];
        using var hashing = new HashingStream(stream);
        for (long offset = 0; offset < tensor.ByteCount;)
        {
            Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.ByteCount - offset));
            tensor.ReadBytes(offset, piece);
            hashing.Write(piece);
            offset += piece.Length;
        }

        if (!_digests.GetHash(_planes[name]).SequenceEqual(hashing.GetHash()))
        {
            throw Damaged(_file.Path, name);
        }
    }

    public void Dispose() => _file.Dispose();

    private static SafetensorsTensor Find(SafetensorsFile file, string name, long byteCount) =>
        !file.TryGet(name, out SafetensorsTensor? tensor) ? throw new ModelFormatException(file.Path, "the tensor is missing", name)
        : tensor.ByteCount != byteCount ? throw new ModelFormatException(file.Path, $"there are {tensor.ByteCount} bytes, not {byteCount}", name)
        : tensor;

    private static ModelFormatException Damaged(string path, string name) => new(path, "the bytes are damaged: they have another SHA-256", name);

    private static string NameOf(PlannedTensor planned, int plane) => FormattableString.Invariant($"{planned.Source.Name}#{plane}");

    private static long BytesOf(PlannedTensor planned, int plane) =>
        planned.Source.GetWeightCount() / planned.Codec!.WeightsPerBlock * planned.Codec.PlaneBytes(plane);
}
