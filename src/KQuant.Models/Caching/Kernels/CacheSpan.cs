namespace KQuant.Models.Caching.Kernels;

/// <summary>Keys or values as a kernel reads them.</summary>
/// <param name="memory">The first element.</param>
/// <param name="element">What the elements are.</param>
internal readonly unsafe struct CacheSpan(void* memory, CacheElement element)
{
    public CacheElement Element => element;

    public float* Floats => (float*)memory;

    public Half* Halves => (Half*)memory;

    /// <summary>An element.</summary>
    public float this[nint index] => element == CacheElement.Single ? Floats[index] : (float)Halves[index];
}
