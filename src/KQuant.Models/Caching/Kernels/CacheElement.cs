namespace KQuant.Models.Caching.Kernels;

/// <summary>What a kernel reads keys and values as.</summary>
internal enum CacheElement
{
    /// <summary>Float32.</summary>
    Single = 0,

    /// <summary>Binary16.</summary>
    Half,

    /// <summary>Bfloat16.</summary>
    BFloat16,
}

/// <summary>What is known of elements.</summary>
internal static class CacheElements
{
    /// <summary>Bytes of an element.</summary>
    public static int GetSize(this CacheElement element) => element == CacheElement.Single ? sizeof(float) : sizeof(ushort);
}
