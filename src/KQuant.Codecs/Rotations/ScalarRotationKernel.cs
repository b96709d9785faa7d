namespace KQuant.Codecs.Rotations;

/// <summary>The specification of <see cref="RotationKernel"/>.</summary>
internal sealed unsafe class ScalarRotationKernel : RotationKernel
{
    public override string Name => "Scalar";

    public override bool IsSupported => true;

    public override void Butterflies(float* values, int runs, int length)
    {
        for (int half = 1; half < length; half *= 2)
        {
            for (int i = 0; i < runs * length; i++)
            {
                if ((i & half) == 0)
                {
                    (values[i], values[i + half]) = (values[i] + values[i + half], values[i] - values[i + half]);
                }
            }
        }
    }

    public override void Mix(float* values, sbyte* matrix, int runs, int length)
    {
        float* column = stackalloc float[runs];
        for (int i = 0; i < length; i++)
        {
            for (int run = 0; run < runs; run++)
            {
                column[run] = values[(run * length) + i];
            }

            for (int row = 0; row < runs; row++)
            {
                float sum = 0;
                for (int run = 0; run < runs; run++)
                {
                    sum += matrix[(row * runs) + run] * column[run];
                }

                values[(row * length) + i] = sum;
            }
        }
    }

    public override void Combine(ReadOnlySpan<float> matrix, ReadOnlySpan<float> weights, Span<float> result)
    {
        for (int i = 0; i < result.Length; i++)
        {
            float sum = 0;
            for (int row = 0; row < weights.Length; row++)
            {
                sum += weights[row] * matrix[(row * result.Length) + i];
            }

            result[i] = sum;
        }
    }

    public override void Assign(ReadOnlySpan<float> values, ReadOnlySpan<float> boundaries, Span<byte> codes)
    {
        for (int i = 0; i < values.Length; i++)
        {
            int code = 0;
            foreach (float boundary in boundaries)
            {
                code += values[i] >= boundary ? 1 : 0;
            }

            codes[i] = (byte)code;
        }
    }

    public override void LookUp(ReadOnlySpan<byte> codes, ReadOnlySpan<float> centroids, float factor, Span<float> values)
    {
        for (int i = 0; i < codes.Length; i++)
        {
            values[i] = centroids[codes[i]] * factor;
        }
    }
}
