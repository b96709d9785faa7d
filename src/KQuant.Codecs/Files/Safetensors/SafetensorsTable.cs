using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>The tensors of a model while its files are opened: every name once, and no more of them than the budget allows.</summary>
internal sealed class SafetensorsTable
{
    /// <summary>Memory of a string beside its characters: the object, and its place in a dictionary that doubles when it grows.</summary>
    private const int BytesPerString = 96;

    /// <summary>Memory of a tensor beside its name and dimensions.</summary>
    private const int BytesPerTensor = 160;

    private readonly Dictionary<string, SafetensorsTensor> _byName = [];
    private readonly List<SafetensorsTensor> _tensors = [];
    private readonly AllocationBudget _budget = new();

    public int Count => _tensors.Count;

    public List<SafetensorsTensor> Tensors => _tensors;

    public Dictionary<string, SafetensorsTensor>.AlternateLookup<ReadOnlySpan<char>> Lookup =>
        _byName.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Sets memory aside for a string before it is made.</summary>
    public void ChargeString(string path, long utf8Length, long offset) => Charge(path, BytesPerString + (2 * utf8Length), offset);

    /// <summary>Sets memory aside for a tensor, its name excepted.</summary>
    public void ChargeTensor(string path, int dimensions, long offset) => Charge(path, BytesPerTensor + (8 * dimensions), offset);

    public bool TryAdd(SafetensorsTensor tensor)
    {
        if (!_byName.TryAdd(tensor.Name, tensor))
        {
            return false;
        }

        _tensors.Add(tensor);
        return true;
    }

    public bool TryGet(string name, [NotNullWhen(true)] out SafetensorsTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <summary>
    /// Puts the tensors from <paramref name="first"/> on into the order of their data, empty ones before what follows them.
    /// </summary>
    public ReadOnlySpan<SafetensorsTensor> SortFrom(int first)
    {
        Span<SafetensorsTensor> added = CollectionsMarshal.AsSpan(_tensors)[first..];
        added.Sort(static (a, b) => (a.Begin, a.ByteCount).CompareTo((b.Begin, b.ByteCount)));
        return added;
    }

    private void Charge(string path, long bytes, long offset)
    {
        if (!_budget.TryCharge(bytes))
        {
            throw new ModelFormatException(
                path, $"the description of the tensors would take more than {AllocationBudget.Limit >> 20} MiB of memory", offset: offset);
        }
    }
}
