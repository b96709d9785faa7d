namespace KQuant.Models.Templates;

/// <summary>A template that has been read.</summary>
/// <param name="Body">Its statements.</param>
/// <param name="Names">The variables that it reads.</param>
/// <param name="Texts">The texts in its expressions: what it may compare contents with.</param>
internal sealed record ParsedTemplate(Statement Body, IReadOnlySet<string> Names, IReadOnlySet<string> Texts);
