namespace KQuant.Models.Generation;

/// <summary>What a step gave a text.</summary>
/// <param name="Text">The text.</param>
/// <param name="Token">Its next token; null when none could be chosen, see <see cref="TextGenerator.Failure"/>.</param>
internal readonly record struct StepResult(TextGenerator Text, GeneratedToken? Token);
