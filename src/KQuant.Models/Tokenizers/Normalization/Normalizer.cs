namespace KQuant.Models.Tokenizers;

/// <summary>A step that rewrites the text between two added tokens before it is cut into pieces.</summary>
internal abstract class Normalizer
{
    /// <summary>Rewrites a text.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="result">Takes the new text, valid UTF-8, if there is one; empty before.</param>
    /// <returns>False if the text stays as it is; then nothing was written.</returns>
    public abstract bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result);
}
