
namespace KQuant.Models.Caching.Kernels;

/// <summary>The specification of <see cref="AttentionKernel"/>.</summary>
/// <param name="scalesHalves">Whether it takes binary16 for 2^-112 of what it is.</param>
internal sealed unsafe class ScalarAttentionKernel(bool scalesHalves) : AttentionKernel
{
    public override string Name => "Scalar";

    public override bool IsSupported => true;

    public override AttentionKernel OfScaledHalves => scalesHalves ? this : (field ??= new ScalarAttentionKernel(scalesHalves: true));

    public override void Score(float* queries, int rows, CacheSpan keys, int blocks, int size, float* scores, nint scoreStride)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int slot = 0; slot < blocks * BlockSize; slot++)
            {
                float even = 0, odd = 0;
                for (int i = 0; i < size; i++)
                {
                    ref float sum = ref i % 2 == 0 ? ref even : ref odd;
                    sum += queries[(row * size) + i] * Get(keys, (((slot / BlockSize * size) + i) * BlockSize) + (slot % BlockSize));
                }

                scores[(row * scoreStride) + slot] = even + odd;
            }
        }
    }

    public override void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int slot = 0; slot < count; slot++)
            {
                for (int i = 0; i < stride; i++)
                {
                    outputs[(row * stride) + i] += weights[(row * weightStride) + slot] * Get(values, (slot * stride) + i);
                }
            }
        }
    }

    public override void Widen(CacheSpan source, int count, float* target)
    {
        for (int i = 0; i < count; i++)
        {
            target[i] = Get(source, i);
        }
    }

    private float Get(CacheSpan source, int index) =>
        scalesHalves && source.Element == CacheElement.Half ? source[index] / HalfScale : source[index];
}
