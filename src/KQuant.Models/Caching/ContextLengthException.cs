namespace KQuant.Models;

/// <summary>A text has more tokens than the context it should go into.</summary>
public sealed class ContextLengthException : ArgumentException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="contextLength">Tokens that fit.</param>
    public ContextLengthException(long tokens, int contextLength)
        : base($"The text has {tokens} tokens and the context holds {contextLength}.") =>
        (Tokens, ContextLength) = (tokens, contextLength);

    /// <summary>Tokens of the text.</summary>
    public long Tokens { get; }

    /// <summary>Tokens that fit.</summary>
    public int ContextLength { get; }
}
