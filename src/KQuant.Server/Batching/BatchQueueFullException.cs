namespace KQuant.Server.Batching;

/// <summary>So many texts wait that no more are taken.</summary>
/// <param name="waiting">How many wait.</param>
internal sealed class BatchQueueFullException(int waiting)
    : Exception($"{waiting} texts wait for their turn, and no more are taken; try again later.");
