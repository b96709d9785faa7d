namespace KQuant.Matmul;

/// <summary>
/// Numbered pieces of work that the threads of a <see cref="MatmulContext"/> do between products: attention, norms, activations. Pieces
/// run at once and in any order.
/// </summary>
internal interface IParallelWork
{
    /// <summary>Does one piece.</summary>
    /// <param name="piece">Its number, from 0.</param>
    /// <param name="scratch">Memory of the thread that runs it; its content is arbitrary.</param>
    void RunPiece(int piece, Span<float> scratch);
}
