namespace KQuant.Models.Transformers;

/// <summary>Keys or values as they lie in a cache.</summary>
/// <param name="memory">The first element.</param>
/// <param name="format">The format of the elements.</param>
internal readonly unsafe struct CacheSpan(void* memory, CacheFormat format)
{
    public CacheFormat Format => format;

    public float* Floats => (float*)memory;

    public Half* Halves => (Half*)memory;

    /// <summary>An element.</summary>
    public float this[nint index] => format == CacheFormat.F32 ? Floats[index] : (float)Halves[index];
}
