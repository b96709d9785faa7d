using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Numbers as they are, or rounded.</summary>
internal sealed class DenseFormat(string name, CacheElement element) : CacheFormat(name)
{
    internal override KeyStore CreateKeys(int heads, int headSize) => new DenseKeys(heads, headSize, element);

    internal override ValueStore CreateValues(int heads, int headSize) => new DenseValues(heads, headSize, element);
}
