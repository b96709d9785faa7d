namespace KQuant.Models.Caching.Kernels;

/// <summary>How many rows of queries a kernel is compiled for.</summary>
internal interface IAttentionRows
{
    static abstract int Count { get; }
}

/// <summary>One row: a token whose heads share nothing.</summary>
internal readonly struct OneRow : IAttentionRows
{
    public static int Count => 1;
}

/// <summary>Two rows.</summary>
internal readonly struct TwoRows : IAttentionRows
{
    public static int Count => 2;
}

/// <summary>Four rows.</summary>
internal readonly struct FourRows : IAttentionRows
{
    public static int Count => 4;
}
