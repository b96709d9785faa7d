namespace KQuant.Codecs.Files;

/// <summary>How far a run through the tensors of a model has come: writing it, or checking it.</summary>
public readonly record struct ModelProgress
{
    /// <summary>The tensor in hand.</summary>
    public required string TensorName { get; init; }

    /// <summary>Its number, counted from 0 in the order of the run.</summary>
    public required int TensorIndex { get; init; }

    /// <summary>Tensors in total.</summary>
    public required int TensorCount { get; init; }

    /// <summary>Bytes of tensor data written (or checked) so far, over all files.</summary>
    public required long BytesDone { get; init; }

    /// <summary>Bytes of tensor data in total.</summary>
    public required long TotalBytes { get; init; }
}
