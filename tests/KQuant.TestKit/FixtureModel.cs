using System.Buffers.Binary;
using System.Text.Json;

namespace KQuant.TestKit;

/// <summary>
/// The BF16 tensors of a fixture model, widened to float32: a second reader beside the product's, for tests that only want real weights.
/// </summary>
public sealed class FixtureModel
{
    private readonly byte[] _file;
    private readonly JsonElement _header;
    private readonly int _dataStart;

    private FixtureModel(string path)
    {
        _file = File.ReadAllBytes(path);
        _dataStart = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(_file);
        _header = JsonDocument.Parse(_file.AsMemory(8, _dataStart - 8)).RootElement;
    }

    /// <summary>Reads <c>fixtures/models/NAME/model.safetensors</c>.</summary>
    public static FixtureModel Load(string name) => new(RepositoryFiles.Fixture("models", name, "model.safetensors"));

    public IEnumerable<string> Names => _header.EnumerateObject().Select(tensor => tensor.Name).Where(name => name != "__metadata__");

    public int[] Shape(string tensor) =>
        [.. _header.GetProperty(tensor).GetProperty("shape").EnumerateArray().Select(size => size.GetInt32())];

    public float[] Weights(string tensor)
    {
        int start = _dataStart + _header.GetProperty(tensor).GetProperty("data_offsets")[0].GetInt32();
        var weights = new float[Shape(tensor).Aggregate(1, (a, b) => a * b)];
        for (int i = 0; i < weights.Length; i++)
        {
            uint upperHalf = BinaryPrimitives.ReadUInt16LittleEndian(_file.AsSpan(start + (2 * i)));
            weights[i] = BitConverter.UInt32BitsToSingle(upperHalf << 16);
        }

        return weights;
    }
}
