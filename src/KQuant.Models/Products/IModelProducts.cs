namespace KQuant.Models.Products;

/// <summary>
/// Every product of a model with its weights. Who implements it computes them (<see cref="ProcessorProducts"/>, <see cref="BackendProducts"/>);
/// who wraps one sees weights by name, rows and experts (<see cref="ObservedProducts"/>), or adds to results (<see cref="AdaptedProducts"/>).
/// </summary>
/// <remarks>
/// Products may be queued; <see cref="Finish"/> ends them. Until then inputs and ids stay as they are, and results are undefined. One
/// call at a time.
/// </remarks>
internal unsafe interface IModelProducts : IDisposable
{
    /// <summary><c>y = x W^T + b</c>; of a stack, <c>y[t, s] = x[t] W[ids[t, s]]^T + b[ids[t, s]]</c>.</summary>
    /// <param name="weight">W and b.</param>
    /// <param name="input">x, and the matrices that its rows meet if <paramref name="weight"/> is a stack.</param>
    /// <param name="output">y, [results][outputs].</param>
    /// <param name="cancellation">Ends it early.</param>
    void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation);

    /// <summary>Rows of a matrix, there at once.</summary>
    /// <param name="weight">One matrix.</param>
    /// <param name="ids">Which rows.</param>
    /// <param name="output">[ids][inputs].</param>
    /// <param name="cancellation">Ends it early.</param>
    void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation);

    /// <summary>Waits for the results.</summary>
    /// <param name="cancellation">Ends it early.</param>
    void Finish(CancellationToken cancellation);

    /// <summary>Gives up what a step that failed left in the queue.</summary>
    void Forget();
}
