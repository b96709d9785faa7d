using KQuant.Codecs;

namespace KQuant.Models.Grammars;

/// <summary>A grammar or a schema that is not well-formed, that no text fits, or that is too large.</summary>
public sealed class GrammarException : KQuantException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, in one sentence.</param>
    public GrammarException(string message)
        : base(message)
    {
    }
}
