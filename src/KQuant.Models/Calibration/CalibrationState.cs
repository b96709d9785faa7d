using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Calibration;

/// <summary>What a calibration has gathered, as a GGUF with float64 sums.</summary>
internal static class CalibrationState
{
    private const string Kind = "kquant-calibration", SquareSuffix = ".in_sum2", SumSuffix = ".in_sum", CountSuffix = ".counts";
    private const string ChunksKey = "calibration.chunks", CoveredKey = "calibration.covered", OriginKey = "calibration.origin";

    /// <summary>What has to be the same for two calibrations to be one.</summary>
    public static string Describe(string model, ReadOnlySpan<int> tokens, CalibrationOptions options)
    {
        string settings = string.Create(
            CultureInfo.InvariantCulture,
            $"{Path.GetFileName(Path.TrimEndingDirectorySeparator(model))}, chunks of {options.ChunkLength} from {options.FirstToken}, floor {options.CoverageFloor}");
        string part = options.Shard is JobShard shard ? $"part {shard} of {ImportanceCalibrator.CountChunks(tokens.Length, options with { Shard = null })} " : "";
        return $"{part}{settings}, text {Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(tokens)))[..16]}";
    }

    public static void Write(string path, InputCollector collector, int chunks, int covered, string origin)
    {
        var writer = new GgufWriter();
        writer.Metadata.Set("general.type", Kind);
        writer.Metadata.Set(OriginKey, origin);
        writer.Metadata.Set(ChunksKey, chunks);
        writer.Metadata.Set(CoveredKey, covered);
        foreach ((string name, InputMoments moments) in collector.ByName)
        {
            Add<double>(name + SquareSuffix, "f64", moments.Squares, moments.Columns, moments.Counts.Length);
            Add<double>(name + SumSuffix, "f64", moments.Sums, moments.Columns, moments.Counts.Length);
            Add<long>(name + CountSuffix, "i64", moments.Counts, 1, moments.Counts.Length);
        }

        writer.Write(path);

        void Add<T>(string name, string type, T[] values, int columns, int matrices)
            where T : unmanaged =>
            writer.Add(name, [columns, matrices], TypeOf(type), MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
    }

    public static (int Chunks, int Covered) Read(string path, InputCollector collector, string origin)
    {
        using GgufFile file = GgufFile.Open(path);
        if (file.Metadata.Get("general.type", "") != Kind)
        {
            throw new ModelFormatException(path, "this is no saved calibration");
        }

        string found = file.Metadata.Get(OriginKey, "");
        if (found != origin)
        {
            throw new ModelFormatException(path, $"the calibration is another one: '{Printable.Shorten(found)}', not '{origin}'");
        }

        foreach (GgufTensor squares in file.Tensors.Where(tensor => tensor.Name.EndsWith(SquareSuffix, StringComparison.Ordinal)))
        {
            string name = squares.Name[..^SquareSuffix.Length];
            if (!file.TryGet(name + SumSuffix, out GgufTensor? sums) || !file.TryGet(name + CountSuffix, out GgufTensor? counts)
                || counts.ElementCount is < 1 or > 65_536 || squares.ElementCount % counts.ElementCount != 0
                || sums.ElementCount != squares.ElementCount || squares.ElementCount > Array.MaxLength)
            {
                throw squares.Error("sums and counts do not fit together");
            }

            InputMoments moments = collector.Get(name, (int)counts.ElementCount, (int)(squares.ElementCount / counts.ElementCount));
            Load<double>(squares, "f64", moments.Squares);
            Load<double>(sums, "f64", moments.Sums);
            Load<long>(counts, "i64", moments.Counts);
        }

        return (Math.Max(0, file.Metadata.Get(ChunksKey, 0)), Math.Max(0, file.Metadata.Get(CoveredKey, 0)));

        static void Load<T>(GgufTensor tensor, string type, T[] values)
            where T : unmanaged
        {
            if (tensor.TypeId != TypeOf(type).Id || tensor.ElementCount != values.Length)
            {
                throw tensor.Error($"the type is {tensor.TypeName}; {type} was expected");
            }

            tensor.ReadBytes(0, MemoryMarshal.AsBytes(values.AsSpan()));
        }
    }

    private static GgmlType TypeOf(string name) => GgmlType.All.Single(type => type.Name == name);
}
