using KQuant.Codecs;
using KQuant.Matmul;

// VectorStore: vectors in eight bits, searched with int8 products, and the best of them ranked again in float32.
const int Count = 20_000, Columns = 384, Found = 5, Candidates = 50;
float[] vectors = new float[Count * Columns];
var random = new Random(1);
for (int i = 0; i < vectors.Length; i++)
{
    vectors[i] = random.NextSingle() - 0.5f;
}

// What is looked for lies near vector 12345.
float[] query = [.. vectors.AsSpan(12_345 * Columns, Columns).ToArray().Select(value => value + ((random.NextSingle() - 0.5f) / 2))];

using QuantizedTensor store = QuantizedTensor.Encode(
    QuantCodec.Get(QuantFormat.Q8_0), new QuantShape(Count, Columns), vectors, new EncodeOptions { MaxDegreeOfParallelism = -1 });
using var context = new MatmulContext();

long[] ids = new long[Candidates];
float[] scores = new float[Candidates];
QuantizedMatmul.TopK(store, query, Candidates, ids, scores, context, ActivationPrecision.Int8);
QuantizedMatmul.Dot(store, ids, query, scores, context, ActivationPrecision.Float32);
Array.Sort(scores, ids);

Console.WriteLine($"{Count} vectors of {Columns}: {4.0 * vectors.Length / store.ByteCount:F2} times smaller than float32.");
foreach (long id in ids.Reverse().Take(Found))
{
    Console.WriteLine(id);
}
