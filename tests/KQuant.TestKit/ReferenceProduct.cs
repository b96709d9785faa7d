using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>Products in float64 with decoded weights, by the definition: what every product is compared with.</summary>
public static class ReferenceProduct
{
    /// <summary><c>x W[expert]^T</c>.</summary>
    public static float[] Multiply(QuantizedTensor weights, ReadOnlySpan<float> x, int expert = 0)
    {
        (int rows, int columns) = ((int)weights.Shape.Rows, weights.Shape.Columns);
        float[] w = RandomTensors.Decode(weights.GetExpert(expert));
        var y = new float[x.Length / columns * rows];
        for (int i = 0; i < y.Length; i++)
        {
            double sum = 0;
            for (int k = 0; k < columns; k++)
            {
                sum += (double)w[(i % rows * columns) + k] * x[(i / rows * columns) + k];
            }

            y[i] = (float)sum;
        }

        return y;
    }

    /// <summary><c>x W[expert]</c>.</summary>
    public static float[] MultiplyTransposed(QuantizedTensor weights, ReadOnlySpan<float> x, int expert = 0)
    {
        (int rows, int columns) = ((int)weights.Shape.Rows, weights.Shape.Columns);
        float[] w = RandomTensors.Decode(weights.GetExpert(expert));
        var y = new float[x.Length / rows * columns];
        for (int i = 0; i < y.Length; i++)
        {
            double sum = 0;
            for (int n = 0; n < rows; n++)
            {
                sum += (double)w[(n * columns) + (i % columns)] * x[(i / columns * rows) + n];
            }

            y[i] = (float)sum;
        }

        return y;
    }
}
