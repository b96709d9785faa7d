namespace KQuant.Server.Batching;

/// <summary>What a batch may take.</summary>
/// <param name="Texts">Texts that are written at the same time.</param>
/// <param name="Waiting">Texts that wait for a place at most.</param>
/// <param name="CacheBytes">Bytes of caches that are kept for later texts at most.</param>
internal readonly record struct BatchLimits(int Texts, int Waiting, long CacheBytes);
