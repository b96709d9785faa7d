namespace KQuant.Server.Batching;

/// <summary>The server is being stopped.</summary>
internal sealed class BatchStoppedException() : Exception("The server is shutting down.");
