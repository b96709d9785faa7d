using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;

// MultiplyWireBytes FILE.gguf TENSOR: multiplies with the bytes as they lie in the file, and compares with a product of decoded floats.
if (args is not [string path, string name])
{
    Console.Error.WriteLine("MultiplyWireBytes FILE.gguf TENSOR");
    return 2;
}

using GgufFile file = GgufFile.Open(path);
QuantizedTensor weights = file.GetTensor(name);                      // [outputs, inputs], a view of the mapped file
const int M = 3;
int k = weights.Shape.Columns, n = (int)weights.Shape.Rows;
float[] x = new float[M * k], y = new float[M * n], row = new float[k];
var random = new Random(1);
for (int i = 0; i < x.Length; i++)
{
    x[i] = random.NextSingle() - 0.5f;
}

using var context = new MatmulContext();                             // threads and scratch memory: one for the whole program
QuantizedMatmul.Multiply(weights, x, y, context);                    // y = x W^T; x becomes blocks of signed bytes, once

double difference = 0, size = 0;
for (int output = 0; output < n; output++)
{
    weights.DecodeRow(output, row);
    for (int m = 0; m < M; m++)
    {
        double sum = 0;
        for (int i = 0; i < k; i++)
        {
            sum += (double)row[i] * x[(m * k) + i];
        }

        difference += (sum - y[(m * n) + output]) * (sum - y[(m * n) + output]);
        size += sum * sum;
    }
}

Console.WriteLine($"{M} x {k} times {n} x {k} in {weights.Codec.Name}");
Console.WriteLine($"within 2 % of a product of floats: {Math.Sqrt(difference / size) < 0.02} ({context.Options.Activations} activations)");
return 0;
