namespace KQuant.Arm64.Exports;

/// <summary>What the host is asked to run. The same bytes in the tests, here and in host.c.</summary>
internal unsafe struct Request
{
    /// <summary>Buffers of a request.</summary>
    public const int Buffers = 8;

    /// <summary>A flag of a buffer: it is sent back.</summary>
    public const int Output = 1;

    /// <summary>A flag of a buffer: it starts at a multiple of 64 bytes.</summary>
    public const int Aligned = 2;

    /// <summary>An <see cref="Exports.Operation"/>.</summary>
    public int Operation;

    /// <summary>A format.</summary>
    public int Format;

    /// <summary>A kernel tier.</summary>
    public int Tier;

    /// <summary>Activation rows.</summary>
    public int Rows;

    /// <summary>Sizes, as the operation says.</summary>
    public fixed long Numbers[8];

    /// <summary>Bytes of each buffer.</summary>
    public fixed long Lengths[Buffers];

    /// <summary>What a buffer is.</summary>
    public fixed long Flags[Buffers];
}
