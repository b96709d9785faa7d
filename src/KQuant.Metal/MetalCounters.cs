namespace KQuant.Metal;

/// <summary>What a device was asked to do.</summary>
public readonly record struct MetalCounters
{
    /// <summary>Submissions that were waited for; each costs some tenths of a millisecond.</summary>
    public required long Waits { get; init; }

    /// <summary>Kernels that were started.</summary>
    public required long Dispatches { get; init; }

    /// <summary>Buffers that were made.</summary>
    public required long Buffers { get; init; }
}
