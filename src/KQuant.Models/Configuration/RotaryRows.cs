namespace KQuant.Models.Configuration;

/// <summary>
/// The order of the rows of q and k inside each head. Hugging Face rotates pairs (j, j + D/2), GGUF files of architecture <c>llama</c> pairs
/// (2j, 2j + 1): their rows interleave the halves. Whole rows move, so quantized rows move as they are.
/// </summary>
internal static class RotaryRows
{
    /// <summary>Where the row of a GGUF comes from.</summary>
    /// <param name="row">A row of the GGUF's tensor.</param>
    /// <param name="headDimension">Rows of a head; even.</param>
    /// <returns>The row in the checkpoint.</returns>
    public static long ToCheckpoint(long row, int headDimension)
    {
        (long head, long inHead) = Math.DivRem(row, headDimension);
        (long pair, long half) = Math.DivRem(inHead, 2);
        return (head * headDimension) + (half * (headDimension / 2)) + pair;
    }
}
