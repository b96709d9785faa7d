using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// Weights that will be needed next, to be fetched into the cache piece by piece while others are multiplied: memory should never be idle,
/// and never be asked for more than it can deliver. What is fetched this way arrives in time; what is asked for all at once does not.
/// </summary>
internal unsafe struct WeightFetch
{
    private const int CacheLine = 64;

    /// <summary>The next piece of the first panel.</summary>
    public byte* Next;

    /// <summary>Bytes from piece to piece.</summary>
    public nint Stride;

    /// <summary>Bytes from a piece of the first panel to the same of the second.</summary>
    public nint Panel;

    /// <summary>Bytes of a piece.</summary>
    public int Bytes;

    /// <summary>Fetches a piece of both panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Fetch()
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < Bytes; i += CacheLine)
            {
                Sse.Prefetch0(Next + i);
                Sse.Prefetch0(Next + Panel + i);
            }
        }

        Next += Stride;
    }
}
