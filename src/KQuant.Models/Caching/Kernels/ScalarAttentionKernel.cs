namespace KQuant.Models.Caching.Kernels;

/// <summary>The specification of <see cref="AttentionKernel"/>.</summary>
internal sealed unsafe class ScalarAttentionKernel : AttentionKernel
{
    public override string Name => "Scalar";

    public override bool IsSupported => true;

    public override void Score(float* queries, int rows, CacheSpan keys, int size, float* scores, nint scoreStride)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int position = 0; position < BlockSize; position++)
            {
                float sum = 0;
                for (int i = 0; i < size; i++)
                {
                    sum += queries[(row * size) + i] * keys[(i * BlockSize) + position];
                }

                scores[(row * scoreStride) + position] = sum;
            }
        }
    }

    public override void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int position = 0; position < count; position++)
            {
                for (int i = 0; i < stride; i++)
                {
                    outputs[(row * stride) + i] += weights[(row * weightStride) + position] * values[(position * stride) + i];
                }
            }
        }
    }
}
