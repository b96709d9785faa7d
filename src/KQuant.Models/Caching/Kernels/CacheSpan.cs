using KQuant.Codecs;

namespace KQuant.Models.Caching.Kernels;

/// <summary>Keys or values as a kernel reads them.</summary>
/// <param name="memory">The first element.</param>
/// <param name="element">What the elements are.</param>
internal readonly unsafe struct CacheSpan(void* memory, CacheElement element)
{
    public CacheElement Element => element;

    public float* Floats => (float*)memory;

    public Half* Halves => (Half*)memory;

    public BFloat16* BFloats => (BFloat16*)memory;

    /// <summary>An element.</summary>
    public float this[nint index] => element switch
    {
        CacheElement.Single => Floats[index],
        CacheElement.Half => (float)Halves[index],
        _ => (float)BFloats[index],
    };
}
