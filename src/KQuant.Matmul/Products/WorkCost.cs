namespace KQuant.Matmul.Products;

/// <summary>
/// Rough times, in nanoseconds of one core, that decide how many threads a product is worth and how finely it is cut. Nothing depends on
/// them but speed.
/// </summary>
internal static class WorkCost
{
    // What one core reads and multiplies; a recent x86-64 server core, to a factor of two.
    private const double BytesPerNanosecond = 30;
    private const double IntegerProductsPerNanosecond = 250;
    private const double FloatProductsPerNanosecond = 90;
    private const double PreparedValuesPerNanosecond = 3;

    // Below this a piece is not worth the atomic increment; above, a cancelled product takes too long to end.
    private const double SmallestPiece = 4_000;
    private const double LargestPiece = 1_000_000;

    // Pieces per thread: the last one to finish keeps the others waiting for half a piece on average.
    private const int PiecesPerThread = 32;

    // A helper that spins costs well under a microsecond, waking one costs ten and it comes after thirty.
    private const double WorthAThread = 4_000;
    private const double WorthWaking = 60_000;

    /// <summary>Multiplying rows of activations by a matrix.</summary>
    public static double Product(nint matrixBytes, nint rows, nint weights, bool isInteger) => Math.Max(
        matrixBytes / BytesPerNanosecond,
        (double)rows * weights / (isInteger ? IntegerProductsPerNanosecond : FloatProductsPerNanosecond));

    /// <summary>Quantizing, widening or copying activations.</summary>
    public static double Preparation(nint values) => values / PreparedValuesPerNanosecond;

    /// <summary>How many threads it is worth.</summary>
    public static int Threads(double cost, int maxThreads) => (int)Math.Clamp(cost / WorthAThread, 1, maxThreads);

    /// <summary>Whether sleeping threads are woken for it.</summary>
    public static bool IsWorthWaking(double cost) => cost >= WorthWaking;

    /// <summary>The cost a piece should have.</summary>
    public static double PerPiece(double cost, int threads) => Math.Clamp(
        threads == 1 ? LargestPiece : cost / (threads * PiecesPerThread), SmallestPiece, LargestPiece);
}
