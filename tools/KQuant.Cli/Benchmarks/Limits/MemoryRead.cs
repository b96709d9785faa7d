using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Reads memory as fast as one thread can: four streams side by side, the next pages asked for in advance.</summary>
internal static unsafe class MemoryRead
{
    /// <summary>What a length is rounded down to.</summary>
    public const int Granule = Streams * Line;

    private const int Streams = 4;
    private const int Line = 64;
    private const int Ahead = 32 * Line;

    /// <summary>Reads.</summary>
    /// <param name="start">Where, 64-byte aligned.</param>
    /// <param name="bytes">How many, a multiple of <see cref="Granule"/>.</param>
    /// <returns>A sum, so that reading has a purpose.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ulong Sum(byte* start, nint bytes)
    {
        nint stream = bytes / Streams;
        Vector128<ulong> sum = default;
        Vector512<ulong> wide = default;
        for (byte* at = start, end = start + stream; at < end; at += Line)
        {
            for (int s = 0; s < Streams; s++)
            {
                byte* line = at + (s * stream);
                if (Sse.IsSupported)
                {
                    // Prefetching beyond the end is harmless: it never faults.
                    Sse.Prefetch0(line + Ahead);
                }

                if (Vector512.IsHardwareAccelerated)
                {
                    wide += Vector512.Load((ulong*)line);
                }
                else
                {
                    sum += Vector128.Load((ulong*)line) + Vector128.Load((ulong*)line + 2)
                        + Vector128.Load((ulong*)line + 4) + Vector128.Load((ulong*)line + 6);
                }
            }
        }

        return Vector128.Sum(sum) + Vector512.Sum(wide);
    }
}
