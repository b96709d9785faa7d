namespace KQuant.Metal;

/// <summary>What a device was asked to do.</summary>
/// <param name="Waits">Submissions that were waited for; each costs some tenths of a millisecond.</param>
/// <param name="Dispatches">Kernels that were started.</param>
/// <param name="Buffers">Buffers that were made.</param>
public readonly record struct MetalCounters(long Waits, long Dispatches, long Buffers);
