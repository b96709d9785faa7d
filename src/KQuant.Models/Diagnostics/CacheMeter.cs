namespace KQuant.Models.Diagnostics;

/// <summary>The memory of all caches of the process. Apart from what publishes it, so that a cache alone starts no meter.</summary>
internal static class CacheMeter
{
    private static long Held;

    /// <summary>Bytes.</summary>
    public static long Bytes => Volatile.Read(ref Held);

    /// <summary>Memory was taken, or given back.</summary>
    /// <param name="bytes">How much more.</param>
    public static void Add(long bytes) => Interlocked.Add(ref Held, bytes);
}
