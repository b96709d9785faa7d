using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Panels;

/// <summary>
/// Fetches the weights that will be unpacked next into the cache, in the order in which they will be needed, a little at a time: so memory
/// is never idle while there is something to fetch, and never asked for more than it can deliver.
/// </summary>
/// <param name="start">Where they begin.</param>
/// <param name="pieceBytes">Bytes that lie together.</param>
/// <param name="pieceStride">Bytes from one such piece to the next, for <paramref name="pieces"/> of them.</param>
/// <param name="pieces">Pieces of a unit of a panel.</param>
/// <param name="unitStride">Bytes from unit to unit.</param>
/// <param name="units">Units of a panel.</param>
/// <param name="panelStride">Bytes from panel to panel.</param>
internal unsafe struct WeightFetcher(byte* start, int pieceBytes, nint pieceStride, int pieces, nint unitStride, int units, nint panelStride)
{
    private const int CacheLine = 64;

    private readonly nint _afterUnit = unitStride - (pieces * pieceStride);
    private readonly nint _afterPanel = panelStride - (units * unitStride);
    private byte* _next = start;
    private int _piece;
    private int _unit;
    private int _done;

    /// <summary>Goes on until so many pieces of all have been fetched.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void FetchTo(int count)
    {
        if (!Sse.IsSupported)
        {
            return;
        }

        for (; _done < count; _done++)
        {
            for (int i = 0; i < pieceBytes; i += CacheLine)
            {
                Sse.Prefetch0(_next + i);
            }

            _next += pieceStride;
            if (++_piece == pieces)
            {
                _piece = 0;
                _next += _afterUnit;
                if (++_unit == units)
                {
                    _unit = 0;
                    _next += _afterPanel;
                }
            }
        }
    }
}
