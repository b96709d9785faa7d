using KQuant.Models.Generation;

namespace KQuant.Server.Batching;

/// <summary>What a text begins with, and how it goes on.</summary>
/// <param name="Tokens">The tokens to begin with.</param>
/// <param name="Options">What to generate; without a cache.</param>
internal readonly record struct BatchPrompt(int[] Tokens, GenerationOptions Options);
