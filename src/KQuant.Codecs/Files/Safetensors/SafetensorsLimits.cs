namespace KQuant.Codecs.Files;

/// <summary>Limits that reader and writer share.</summary>
internal static class SafetensorsLimits
{
    /// <summary>The format's own limit for a header; here also for an index.</summary>
    public const int MaxHeaderLength = 100_000_000;

    /// <summary>NumPy's limit; the format has none.</summary>
    public const int MaxDimensions = 64;

    /// <summary>UTF-8 bytes of a tensor's name. The format has no limit; this one lets a name fit into a message and a buffer.</summary>
    public const int MaxNameBytes = 4096;
}
