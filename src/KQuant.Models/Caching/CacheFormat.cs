using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models;

/// <summary>How a <see cref="KeyValueCache"/> stores keys or values.</summary>
public abstract class CacheFormat
{
    internal CacheFormat(string name) => Name = name;

    /// <summary>As they were computed.</summary>
    public static CacheFormat F32 { get; } = new DenseFormat("f32", CacheElement.Single);

    /// <summary>Rounded to binary16: half the memory.</summary>
    public static CacheFormat F16 { get; } = new DenseFormat("f16", CacheElement.Half);

    /// <summary>Rounded to bfloat16: half the memory, eight bits of precision, and no number is too large.</summary>
    public static CacheFormat BF16 { get; } = new DenseFormat("bf16", CacheElement.BFloat16);

    /// <summary>All, by the names that the command line knows.</summary>
    public static IReadOnlyList<CacheFormat> All { get; } = [F32, F16, BF16];

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>An empty store for the keys of a layer.</summary>
    internal abstract KeyStore CreateKeys(int heads, int headSize);

    /// <summary>An empty store for the values of a layer.</summary>
    internal abstract ValueStore CreateValues(int heads, int headSize);

    private sealed class DenseFormat(string name, CacheElement element) : CacheFormat(name)
    {
        internal override KeyStore CreateKeys(int heads, int headSize) => new DenseKeys(heads, headSize, element);

        internal override ValueStore CreateValues(int heads, int headSize) => new DenseValues(heads, headSize, element);
    }
}
