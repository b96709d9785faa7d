namespace KQuant.Codecs.Conversion;

/// <summary>A tensor in its new codec, as a writer asks for it.</summary>
internal abstract class EncodedTensor
{
    /// <summary>The error of what was written; null when it is not measured.</summary>
    public abstract WeightError? Error { get; }

    /// <summary>Writes all wire bytes.</summary>
    public abstract void WriteTo(Stream stream);

    /// <summary>Writes the wire bytes of one plane.</summary>
    public abstract void WritePlaneTo(Stream stream, int plane);

    /// <summary>Writes the wire bytes of one expert.</summary>
    public abstract void WriteExpertTo(Stream stream, long expert);
}
