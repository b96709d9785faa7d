using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>
/// The least that reads a well-formed GGUF fixture: a second implementation beside the product's reader, so that a golden test of a codec
/// does not rest on it. The whole file is in memory; dimensions are in GGUF order, innermost first.
/// </summary>
public sealed class FixtureTensors
{
    private readonly byte[] _file;
    private readonly Dictionary<string, object> _metadata = [];
    private readonly Dictionary<string, (long[] Dims, uint Type, long Offset)> _tensors = [];
    private int _at;

    private FixtureTensors(byte[] file)
    {
        _file = file;
        _at = 8;
        int tensors = (int)Read<ulong>();
        int keys = (int)Read<ulong>();
        for (int i = 0; i < keys; i++)
        {
            string key = ReadString();
            _metadata[key] = ReadValue(Read<uint>());
        }

        for (int i = 0; i < tensors; i++)
        {
            string name = ReadString();
            var dims = new long[Read<uint>()];
            for (int d = 0; d < dims.Length; d++)
            {
                dims[d] = Read<long>();
            }

            _tensors[name] = (dims, Read<uint>(), Read<long>());
        }

        long dataStart = (_at + 31) / 32 * 32;
        foreach ((string name, (long[] dims, uint type, long offset)) in _tensors)
        {
            _tensors[name] = (dims, type, offset + dataStart);
        }
    }

    /// <summary>Reads <c>fixtures/gguf/NAME.gguf</c>.</summary>
    public static FixtureTensors Load(string name) => new(File.ReadAllBytes(RepositoryFiles.Fixture("gguf", name + ".gguf")));

    /// <summary>Reads the fixture of a codec, whatever the case of its name: <c>q4_K.gguf</c>, or <c>matmul-q4_K.gguf</c> with a prefix.</summary>
    public static FixtureTensors Load(QuantCodec codec, string prefix = "") => new(File.ReadAllBytes(PathOf(codec, prefix)));

    /// <summary>Where the fixture of a codec is.</summary>
    public static string PathOf(QuantCodec codec, string prefix = "") =>
        Find(codec, prefix) ?? throw new FileNotFoundException($"There is no fixture gguf/{prefix}{codec.Name}.gguf.");

    /// <summary>Whether there is such a fixture; for some codecs there is none of products.</summary>
    public static bool Exists(QuantCodec codec, string prefix = "") => Find(codec, prefix) is not null;

    public IReadOnlyDictionary<string, object> Metadata => _metadata;

    /// <summary>The tensors, in file order.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    public bool Has(string tensor) => _tensors.ContainsKey(tensor);

    public long[] Dims(string tensor) => _tensors[tensor].Dims;

    public uint TypeId(string tensor) => _tensors[tensor].Type;

    /// <summary>The tensor's bytes from its start to <paramref name="byteCount"/> behind it.</summary>
    public ReadOnlySpan<byte> Bytes(string tensor, long byteCount) =>
        _file.AsSpan(checked((int)_tensors[tensor].Offset), checked((int)byteCount));

    /// <summary>All values of an F32 tensor.</summary>
    public float[] Floats(string tensor) =>
        MemoryMarshal.Cast<byte, float>(Bytes(tensor, 4 * _tensors[tensor].Dims.Aggregate(1L, (a, b) => a * b))).ToArray();

    /// <summary>All values of an I32 tensor.</summary>
    public int[] Ints(string tensor) =>
        MemoryMarshal.Cast<byte, int>(Bytes(tensor, 4 * _tensors[tensor].Dims.Aggregate(1L, (a, b) => a * b))).ToArray();

    private static string? Find(QuantCodec codec, string prefix) => Directory.EnumerateFiles(RepositoryFiles.Fixture("gguf"))
        .FirstOrDefault(file => Path.GetFileName(file).Equals($"{prefix}{codec.Name}.gguf", StringComparison.OrdinalIgnoreCase));

    private T Read<T>()
        where T : unmanaged
    {
        T value = MemoryMarshal.Read<T>(_file.AsSpan(_at));
        _at += System.Runtime.CompilerServices.Unsafe.SizeOf<T>();
        return value;
    }

    private string ReadString()
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(_file.AsSpan(_at));
        string text = Encoding.UTF8.GetString(_file, _at + 8, length);
        _at += 8 + length;
        return text;
    }

    private object ReadValue(uint type)
    {
        switch (type)
        {
            case 0: return Read<byte>();
            case 1: return Read<sbyte>();
            case 2: return Read<ushort>();
            case 3: return Read<short>();
            case 4: return Read<uint>();
            case 5: return Read<int>();
            case 6: return Read<float>();
            case 7: return Read<byte>() != 0;
            case 8: return ReadString();
            case 9:
                uint element = Read<uint>();
                var items = new object[(int)Read<ulong>()];
                for (int i = 0; i < items.Length; i++)
                {
                    items[i] = ReadValue(element);
                }

                return items;
            case 10: return Read<ulong>();
            case 11: return Read<long>();
            case 12: return Read<double>();
            default: throw new InvalidDataException($"metadata type {type}");
        }
    }
}
