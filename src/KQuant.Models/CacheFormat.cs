namespace KQuant.Models;

/// <summary>How a <see cref="KeyValueCache"/> stores keys and values.</summary>
public enum CacheFormat
{
    /// <summary>As they were computed.</summary>
    F32 = 0,

    /// <summary>Rounded to binary16: half the memory.</summary>
    F16,
}
