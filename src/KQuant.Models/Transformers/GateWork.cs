using System.Numerics.Tensors;
using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary><c>gate = act(gate) * up</c>, or what stands for it.</summary>
internal sealed unsafe class GateWork(GateActivation activation) : RowWork
{
    private const int Segment = 512;

    private float* _gate;
    private float* _up;
    private int _width;

    /// <summary>What <c>act</c> is.</summary>
    public GateActivation Activation => activation;

    public void Run(float* gate, float* up, int rows, int width, MatmulContext context, CancellationToken cancellation)
    {
        _gate = gate;
        _up = up;
        _width = width;
        Run(rows, width, context, cancellation);
    }

    protected override void RunRow(int row)
    {
        // In pieces that stay in the cache.
        for (int start = 0; start < _width; start += Segment)
        {
            int length = Math.Min(Segment, _width - start);
            long offset = ((long)row * _width) + start;
            Gate(activation, new Span<float>(_gate + offset, length), new ReadOnlySpan<float>(_up + offset, length));
        }
    }

    /// <summary><c>gate = act(gate) * up</c>.</summary>
    internal static void Gate(GateActivation activation, Span<float> gate, ReadOnlySpan<float> up)
    {
        Span<float> memory = stackalloc float[Segment];
        Span<float> work = memory[..gate.Length];
        switch (activation)
        {
            case GateActivation.Silu:
                RowMath.GateBySilu(gate, up);
                return;
            case GateActivation.ClampedSwiglu:
                ClampedSwiglu(gate, up, work);
                return;
            case GateActivation.GeluTanh:
                Gelu(gate, work);
                break;
            default:
                GeluOfHalves(gate, work);
                break;
        }

        TensorPrimitives.Multiply(gate, up, gate);
    }

    // (clamp(u) + 1) * g * sigmoid(1.702 g) with g at most 7: the gate is not bounded below.
    private static void ClampedSwiglu(Span<float> gate, ReadOnlySpan<float> up, Span<float> work)
    {
        const float Limit = 7, Slope = 1.702f;
        TensorPrimitives.Min(gate, Limit, gate);
        TensorPrimitives.Multiply(gate, Slope, work);
        TensorPrimitives.Sigmoid(work, work);
        TensorPrimitives.Multiply(gate, work, gate);
        TensorPrimitives.Clamp(up, -Limit, Limit, work);
        TensorPrimitives.AddMultiply(work, 1, gate, gate);
    }

    private static void Gelu(Span<float> z, Span<float> work)
    {
        const float Root = 0.7978845608028654f;
        TensorPrimitives.Multiply(z, z, work);
        TensorPrimitives.Multiply(work, 0.044715f, work);
        TensorPrimitives.MultiplyAdd(work, z, z, work);
        TensorPrimitives.Multiply(work, Root, work);
        TensorPrimitives.Tanh(work, work);
        TensorPrimitives.Add(work, 1, work);
        TensorPrimitives.Multiply(work, z, work);
        TensorPrimitives.Multiply(work, 0.5f, z);
    }

    // ggml reads values between -10 and 10 from a table of binary16 by the binary16 of the argument; beyond it is z, or 0.
    private static void GeluOfHalves(Span<float> z, Span<float> work)
    {
        Span<float> plain = stackalloc float[z.Length];
        z.CopyTo(plain);
        for (int i = 0; i < z.Length; i++)
        {
            z[i] = (float)(Half)z[i];
        }

        Gelu(z, work);
        for (int i = 0; i < z.Length; i++)
        {
            z[i] = plain[i] <= -10 ? 0 : plain[i] >= 10 ? plain[i] : (float)(Half)z[i];
        }
    }
}
