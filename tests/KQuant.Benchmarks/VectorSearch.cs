using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul;

namespace KQuant.Benchmarks;

/// <summary>
/// What a vector store pays and gains: vectors of 384 values of length one, normally distributed, as float32, q8_0 and q4_0; queries near none of
/// them in particular, which is the hardest case. Recall is the share of the ten nearest vectors in float32 that are found.
/// </summary>
internal static class VectorSearch
{
    private const int Columns = 384, Queries = 200, Best = 10, Candidates = 50, Ids = 64, Turns = 5;

    public static void Run(int count, int threads, TextWriter output)
    {
        output.WriteLine($"{count} vectors of {Columns}, {threads} threads, {RuntimeInformation.FrameworkDescription}; best of {Turns} turns");
        output.WriteLine("store   MiB     recall@10   ms/query   ms/query of 32   us per Dot of 64");
        using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = threads });
        using QuantizedTensor exact = Encode(QuantFormat.F32, count), eight = Encode(QuantFormat.Q8_0, count), four = Encode(QuantFormat.Q4_0, count);
        float[] queries = new float[Queries * Columns];
        Fill(queries, new Random(2));
        long[][] nearest = Search(exact, queries, Best, context);
        Report("f32", exact, nearest);
        Report("q8_0", eight, nearest);
        Report("q4_0", four, nearest);

        // Twice as fast over four bits, and then the few that are left once more.
        long[][] ranked = Search(four, queries, Candidates, context);
        for (int q = 0; q < Queries; q++)
        {
            float[] scores = new float[Candidates];
            QuantizedMatmul.Dot(eight, ranked[q], queries.AsSpan(q * Columns, Columns), scores, context);
            Array.Sort(scores, ranked[q]);
            Array.Reverse(ranked[q]);
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"q4_0, {Candidates} candidates ranked by q8_0: recall@10 {Recall(nearest, ranked):F3}"));

        void Report(string name, QuantizedTensor rows, long[][] expected)
        {
            long[] ids = [.. Enumerable.Range(0, Ids).Select(i => (long)i * (count / Ids))];
            float[] scores = new float[Ids], few = new float[32 * Best];
            long[] found = new long[32 * Best];
            double recall = Recall(expected, Search(rows, queries, Best, context));
            double one = Time(1, () => QuantizedMatmul.TopK(rows, queries.AsSpan(0, Columns), Best, found.AsSpan(0, Best), few.AsSpan(0, Best), context));
            double many = Time(1, () => QuantizedMatmul.TopK(rows, queries.AsSpan(0, 32 * Columns), Best, found, few, context)) / 32;
            double dot = Time(10_000, () => QuantizedMatmul.Dot(rows, ids, queries.AsSpan(0, Columns), scores, context));
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{name,-8}{rows.ByteCount / 1048576.0,-8:F0}{recall,-12:F3}{one * 1e3,-11:F2}{many * 1e3,-17:F2}{dot * 1e6:F1}"));
        }
    }

    private static QuantizedTensor Encode(QuantFormat format, int count)
    {
        float[] vectors = new float[checked(count * Columns)];
        Fill(vectors, new Random(1));
        return QuantizedTensor.Encode(QuantCodec.Get(format), new QuantShape(count, Columns), vectors, new EncodeOptions { MaxDegreeOfParallelism = -1 });
    }

    private static void Fill(float[] vectors, Random random)
    {
        for (int first = 0; first < vectors.Length; first += Columns)
        {
            Span<float> vector = vectors.AsSpan(first, Columns);
            for (int i = 0; i < Columns; i++)
            {
                vector[i] = MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(2 * MathF.PI * random.NextSingle());
            }

            TensorPrimitives.Divide(vector, TensorPrimitives.Norm(vector), vector);
        }
    }

    private static long[][] Search(QuantizedTensor rows, float[] queries, int k, MatmulContext context)
    {
        long[] ids = new long[Queries * k];
        QuantizedMatmul.TopK(rows, queries, k, ids, new float[ids.Length], context);
        return [.. ids.Chunk(k)];
    }

    private static double Recall(long[][] expected, long[][] found) =>
        expected.Zip(found, (right, some) => some.Take(Best).Intersect(right).Count()).Sum() / (double)(Queries * Best);

    private static double Time(int repeat, Action action)
    {
        double best = double.MaxValue;
        for (int turn = 0; turn < Turns; turn++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < repeat; i++)
            {
                action();
            }

            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / repeat);
        }

        return best;
    }
}
