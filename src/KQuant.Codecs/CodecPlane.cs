namespace KQuant.Codecs;

/// <summary>One of the byte arrays that the weights of a codec lie in: a block has its bytes in each of them.</summary>
/// <param name="Name">Its name in checkpoints, after the weight's module: <c>weight</c> (the codes), <c>scales</c>, <c>biases</c>.</param>
/// <param name="BytesPerBlock">Bytes of one block in this plane.</param>
public readonly record struct CodecPlane(string Name, int BytesPerBlock);
