using KQuant.Codecs;

namespace KQuant.Models.Templates;

/// <summary>
/// A chat template that is not well-formed, refuses a conversation (<c>raise_exception</c>), fails on it, or goes beyond its bounds.
/// </summary>
public sealed class TemplateException : KQuantException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, in one sentence.</param>
    /// <param name="line">The line of the template, from 1; 0 if it is not known.</param>
    /// <param name="raisedByTemplate">Whether the template itself refused the conversation.</param>
    public TemplateException(string message, int line = 0, bool raisedByTemplate = false)
        : base(line > 0 && !raisedByTemplate ? $"chat template, line {line}: {message}" : message) =>
        (Line, IsRaisedByTemplate) = (line, raisedByTemplate);

    /// <summary>The line of the template, from 1; 0 if it is not known.</summary>
    public int Line { get; }

    /// <summary>Whether the template itself refused the conversation: the message is the template's own.</summary>
    public bool IsRaisedByTemplate { get; }
}
