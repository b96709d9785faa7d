using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Benchmarks;

/// <summary>
/// How fast the attention of a single token reads a cache, against a loop that only reads: a model of the shape of Qwen3-0.6B (eight heads of
/// 128 values, two rows of queries each) at 4,096 positions, in turns, on one thread, all of it beyond the caches.
/// </summary>
internal static unsafe class AttentionBandwidth
{
    private const int Heads = 8, Size = 128, Slots = 4096, Rows = 2, Layers = 8, Part = 512, Turns = 9;

    public static void Run(TextWriter output)
    {
        output.WriteLine($"{RuntimeInformation.FrameworkDescription}, kernel {AttentionKernel.Best.Name}; GB/s, best of {Turns} turns");
        output.WriteLine("cache   reads alone   attention   share");
        foreach (CacheElement element in Enum.GetValues<CacheElement>())
        {
            nint half = (nint)Layers * Heads * Slots * Size * element.GetSize();
            byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)(2 * half), 4096);
            Fill(memory, 2 * half, element);
            double read = double.MaxValue, attend = double.MaxValue;
            for (int turn = 0; turn < Turns; turn++)
            {
                read = Math.Min(read, Time(() => Read(memory, 2 * half)));
                attend = Math.Min(attend, Time(() => Attend(memory, memory + half, element)));
            }

            NativeMemory.AlignedFree(memory);
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{element,-8}{2 * half / read / 1e9,11:F1}{2 * half / attend / 1e9,12:F1}{100 * read / attend,7:F0} %"));
        }
    }

    private static double Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Fill(byte* memory, nint bytes, CacheElement element)
    {
        var random = new Random(1);
        for (nint i = 0; i < bytes / element.GetSize(); i++)
        {
            float value = (float)((random.NextDouble() * 2) - 1);
            switch (element)
            {
                case CacheElement.Single: ((float*)memory)[i] = value; break;
                case CacheElement.Half: ((Half*)memory)[i] = (Half)value; break;
                default: ((BFloat16*)memory)[i] = (BFloat16)value; break;
            }
        }
    }

    private static void Attend(byte* keys, byte* values, CacheElement element)
    {
        AttentionKernel kernel = element == CacheElement.Half ? AttentionKernel.Best.OfScaledHalves : AttentionKernel.Best;
        float* queries = stackalloc float[Rows * Size], scores = stackalloc float[Rows * Part], outputs = stackalloc float[Rows * Size];
        new Span<float>(queries, Rows * Size).Fill(1);
        for (nint head = 0; head < Layers * Heads; head++)
        {
            for (int slot = 0; slot < Slots; slot += Part)
            {
                nint at = ((head * Slots) + slot) * Size * element.GetSize();
                kernel.Score(queries, Rows, new CacheSpan(keys + at, element), Part / AttentionKernel.BlockSize, Size, scores, Part);
                kernel.Accumulate(scores, Rows, Part, new CacheSpan(values + at, element), Size, Part, outputs);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Read(byte* memory, nint bytes)
    {
        const int Streams = 4, Line = 64, Ahead = 32 * Line;
        nint stream = bytes / Streams;
        Vector512<ulong> sum = default;
        for (byte* at = memory, end = memory + stream; at < end; at += Line)
        {
            for (int s = 0; s < Streams; s++)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(at + (s * stream) + Ahead);
                }

                sum += Vector512.Load((ulong*)(at + (s * stream)));
            }
        }

        GC.KeepAlive(Vector512.Sum(sum));
    }
}
