using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Steps of gradient descent through layers that stay as they are: what training of adapters rests on.</summary>
public class TrainingTests
{
    private const int Rows = 4, Width = 256, Outputs = 24, Steps = 20;

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All;

    [TestCaseSource(nameof(Codecs))]
    public void TwentyStepsHalveTheLossAndLeaveTheWeights(QuantCodec codec)
    {
        QuantizedTensor first = RandomTensors.Create(codec, new QuantShape(Width, Width), 1), second = RandomTensors.Create(codec, new QuantShape(Outputs, Width), 2);
        byte[] before = [.. RandomTensors.BytesOf(first), .. RandomTensors.BytesOf(second)];
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        float[] parameters = Numbers.Gaussian(Rows * Width, 3);
        float[] target = context.Multiply(second, context.Multiply(first, Numbers.Gaussian(Rows * Width, 4)));
        double start = 0, last = double.MaxValue, rate = 0;
        for (int step = 0; step < Steps; step++)
        {
            float[] y = context.Multiply(second, context.Multiply(first, parameters));
            float[] error = [.. y.Zip(target, (a, b) => a - b)];
            double loss = error.Sum(value => (double)value * value);
            float[] gradient = context.MultiplyTransposed(first, context.MultiplyTransposed(second, error));
            if (step == 0)
            {
                // Where the loss is a parabola along the gradient, this is its bottom.
                float[] along = context.Multiply(second, context.Multiply(first, gradient));
                rate = gradient.Sum(value => (double)value * value) / along.Sum(value => (double)value * value);
                start = loss;
            }

            Assert.That(loss, Is.LessThanOrEqualTo(last * 1.5), $"step {step}");
            last = loss;
            for (int i = 0; i < parameters.Length; i++)
            {
                parameters[i] -= (float)(rate * gradient[i]);
            }
        }

        Assert.That(last, Is.LessThan(start / 2));
        Assert.That((byte[])[.. RandomTensors.BytesOf(first), .. RandomTensors.BytesOf(second)], Is.EqualTo(before));
    }
}
