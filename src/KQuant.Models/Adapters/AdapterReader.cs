namespace KQuant.Models.Adapters;

/// <summary>Whether the program that a format belongs to loads an adapter.</summary>
/// <param name="Format">mlx-lm's, PEFT's or llama.cpp's.</param>
/// <param name="Reason">Why not, or what has to be done before; null if it loads it as it is.</param>
internal sealed record AdapterReader(AdapterFormat Format, string? Reason);
