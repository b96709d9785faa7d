namespace KQuant.Codecs;

/// <summary>One of the byte arrays that the weights of a codec lie in: a block has its bytes in each of them.</summary>
public readonly record struct CodecPlane
{
    /// <summary>Its name in checkpoints, after the weight's module: <c>weight</c> (the codes), <c>scales</c>, <c>biases</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Bytes of one block in this plane.</summary>
    public required int BytesPerBlock { get; init; }
}
