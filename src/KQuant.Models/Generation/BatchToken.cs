namespace KQuant.Models.Generation;

/// <summary>A token of one of several texts.</summary>
/// <param name="Text">The number of the text.</param>
/// <param name="Token">The token.</param>
public readonly record struct BatchToken(int Text, GeneratedToken Token);
