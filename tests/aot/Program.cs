using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using KQuant.Codecs;
using KQuant.Matmul;

// The best speed and the result of products in this build: a line `CODEC M GFLOP/s checksum` for each codec and number of activation rows, then
// what it runs on.
// Weights that the cache of a core holds: what is compared is code, and memory, which others use, too, is not.
const int Rows = 128, Columns = 2048;
TimeSpan leastTime = TimeSpan.FromSeconds(0.2);
QuantFormat[] formats = [QuantFormat.Q4_K, QuantFormat.Q6_K, QuantFormat.Q8_0, QuantFormat.Q5_0];
float[] weights = new float[Rows * Columns];
var random = new Random(1);
for (int i = 0; i < weights.Length; i++)
{
    weights[i] = random.NextSingle() - 0.5f;
}

using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
int[] rows = [1, 8, 128];
foreach ((QuantCodec codec, int m) in formats.SelectMany(format => rows.Select(m => (QuantCodec.Get(format), m))))
{
    using QuantizedTensor matrix = QuantizedTensor.Encode(codec, new QuantShape(Rows, Columns), weights);
    float[] x = weights[..(m * Columns)], y = new float[m * Rows];
    double best = double.MaxValue;
    for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < leastTime;)
    {
        long start = Stopwatch.GetTimestamp();
        QuantizedMatmul.Multiply(matrix, x, y, context);
        best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    double speed = 2e-9 * m * Rows * Columns / best, sum = 0;
    foreach (float value in y)
    {
        sum += Math.Abs(value);
    }

    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{codec.Name} {m} {speed:F1} {sum:G5}"));
}

bool isCompiledAhead = !RuntimeFeature.IsDynamicCodeCompiled;
Console.WriteLine($"{(isCompiledAhead ? "ahead of time" : "JIT")}, {context.GetTier(QuantCodec.Get(QuantFormat.Q4_K))}, unused {HardwareTiers.Unused?.ToString() ?? "none"}");
