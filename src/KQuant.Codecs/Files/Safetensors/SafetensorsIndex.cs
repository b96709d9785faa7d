using System.Text.Json;
using System.Text.Unicode;

namespace KQuant.Codecs.Files;

/// <summary>
/// <c>model.safetensors.index.json</c>: which shard holds which tensor. It is read twice, so that nothing of it is kept: first for the
/// names of the shards, then to compare every entry with the headers of the opened shards.
/// </summary>
internal sealed class SafetensorsIndex : IDisposable
{
    private const int MaxShards = 10_000;

    private readonly MappedFile _file;
    private readonly char[] _tensor = new char[SafetensorsLimits.MaxNameBytes];
    private readonly char[] _shard = new char[SafetensorsLimits.MaxNameBytes];

    private SafetensorsIndex(MappedFile file) => _file = file;

    private string Path => _file.Path;

    public static SafetensorsIndex Open(string path)
    {
        var index = new SafetensorsIndex(MappedFile.Open(path));
        if (index._file.Length is 0 or > SafetensorsLimits.MaxHeaderLength)
        {
            long length = index._file.Length;
            index.Dispose();
            throw new ModelFormatException(path, $"an index of {length} bytes is outside 1 to {SafetensorsLimits.MaxHeaderLength}");
        }

        return index;
    }

    /// <summary>The shards that the index names, each once, in the order of their names. All lie in the index's own folder.</summary>
    public string[] ReadShardNames()
    {
        var names = new HashSet<string>();
        HashSet<string>.AlternateLookup<ReadOnlySpan<char>> known = names.GetAlternateLookup<ReadOnlySpan<char>>();
        Walk((_, shard, position) =>
        {
            if (known.Contains(shard))
            {
                return;
            }

            string name = shard.ToString();
            CheckShardName(name, position);
            if (names.Count == MaxShards)
            {
                throw new ModelFormatException(Path, $"the index names more than {MaxShards} shards", offset: position);
            }

            names.Add(name);
        });

        string[] sorted = [.. names];
        Array.Sort(sorted, StringComparer.Ordinal);
        return sorted;
    }

    /// <summary>Compares the index with the headers: the same tensors, each in the shard that the index says, none twice.</summary>
    public void Verify(SafetensorsTable table)
    {
        Dictionary<string, SafetensorsTensor>.AlternateLookup<ReadOnlySpan<char>> tensors = table.Lookup;
        Walk((name, shard, position) =>
        {
            if (!tensors.TryGetValue(name, out SafetensorsTensor? tensor)
                || !System.IO.Path.GetFileName(tensor.FilePath.AsSpan()).SequenceEqual(shard))
            {
                string elsewhere = tensor is null ? "" : $"; {System.IO.Path.GetFileName(tensor.FilePath)} has it";
                throw new ModelFormatException(
                    Path, $"the shard '{Printable.Shorten(shard)}' does not hold this tensor{elsewhere}", name.ToString(), position);
            }

            if (tensor.IsIndexed)
            {
                throw new ModelFormatException(Path, "the tensor occurs twice in weight_map", tensor.Name, position);
            }

            tensor.IsIndexed = true;
        });

        foreach (SafetensorsTensor tensor in table.Tensors)
        {
            if (!tensor.IsIndexed)
            {
                throw new ModelFormatException(
                    tensor.FilePath, $"{System.IO.Path.GetFileName(Path)} does not list this tensor", tensor.Name);
            }
        }
    }

    public void Dispose() => _file.Dispose();

    private delegate void EntryVisitor(ReadOnlySpan<char> name, ReadOnlySpan<char> shard, long position);

    private void Walk(EntryVisitor visit)
    {
        ReadOnlySpan<byte> bytes = _file.UnsafeBytes(0, (int)_file.Length);
        if (!Utf8.IsValid(bytes))
        {
            throw new ModelFormatException(Path, "the index is not valid UTF-8");
        }

        var json = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = 64 });
        try
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                throw new ModelFormatException(Path, "the index is no JSON object");
            }

            bool found = false;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (!json.ValueTextEquals("weight_map"u8))
                {
                    json.Skip();
                }
                else if (!found)
                {
                    found = true;
                    WalkMap(ref json, visit);
                }
                else
                {
                    throw new ModelFormatException(Path, "weight_map occurs twice", offset: json.TokenStartIndex);
                }
            }

            json.Read();
            if (!found)
            {
                throw new ModelFormatException(Path, "the index has no weight_map");
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new ModelFormatException(
                Path, $"the index is not valid JSON: {exception.Message}", offset: json.TokenStartIndex, innerException: exception);
        }
    }

    private void WalkMap(ref Utf8JsonReader json, EntryVisitor visit)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new ModelFormatException(Path, "weight_map is no object", offset: json.TokenStartIndex);
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            long position = json.TokenStartIndex;
            ReadOnlySpan<char> name = CopyText(ref json, _tensor);
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                throw new ModelFormatException(Path, "the shard of this tensor is no string", name.ToString(), position);
            }

            visit(name, CopyText(ref json, _shard), position);
        }
    }

    private ReadOnlySpan<char> CopyText(ref Utf8JsonReader json, char[] buffer)
    {
        int length = json.ValueSpan.Length;
        if (length > buffer.Length)
        {
            throw new ModelFormatException(Path, $"a name of {length} bytes is longer than {buffer.Length}", offset: json.TokenStartIndex);
        }

        return buffer.AsSpan(0, json.CopyString(buffer));
    }

    /// <summary>
    /// A shard is a file of the index's own folder. Separators of every system count on every system: what is refused must not depend on
    /// where a model was checked.
    /// </summary>
    private void CheckShardName(string name, long position)
    {
        bool plain = name.AsSpan().IndexOfAny("/\\:") < 0 && name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            && !name.StartsWith('.');
        foreach (char c in name)
        {
            plain &= !char.IsControl(c);
        }

        if (!plain)
        {
            throw new ModelFormatException(
                Path,
                $"the shard '{Printable.Shorten(name)}' is not the plain name of a .safetensors file beside the index",
                offset: position);
        }
    }
}
