using KQuant.Codecs;
using KQuant.Codecs.Planes;

namespace KQuant.Matmul.Tests;

/// <summary>
/// MLX's affine 4-bit weights, <c>w = code * scale + bias</c> with scales and biases in planes of their own: the smallest codec that needs
/// everything planes are for.
/// </summary>
/// <param name="groupSize">Weights that share a scale.</param>
/// <param name="integers">Whether it can be unpacked to integers; if not, it is multiplied in float32.</param>
/// <param name="transform">What its activations go through.</param>
internal sealed unsafe class AffineCodec(int groupSize, bool integers, ActivationTransform? transform = null)
    : PlaneCodec($"affine4_{groupSize}", groupSize, Plane("weight", groupSize / 2), Plane("scales", 2), Plane("biases", 2))
{
    public override ActivationTransform? Transform => transform;

    internal override IntegerForm? Integers => integers ? new IntegerForm(ActivationScheme.Block32, HasMin: true) : null;

    internal override void DecodePlanes(in PlanePointers source, float* destination, nint blocks)
    {
        for (nint b = 0; b < blocks; b++)
        {
            float scale = (float)((Half*)source.Scales)[b], bias = (float)((Half*)source.Biases)[b];
            for (int i = 0; i < WeightsPerBlock; i++)
            {
                destination[(b * WeightsPerBlock) + i] = (Code(source.Codes + (b * WeightsPerBlock / 2), i) * scale) + bias;
            }
        }
    }

    internal override void Unpack(in PlanePointers source, int blocks, ref WeightUnit unit)
    {
        unit = default;
        for (int b = 0; b < blocks; b++)
        {
            for (int i = 0; i < WeightsPerBlock; i++)
            {
                int at = (b * WeightsPerBlock) + i;
                unit.Codes[at] = (sbyte)Code(source.Codes + (b * WeightsPerBlock / 2), i);
                unit.D[at / 32] = (float)((Half*)source.Scales)[b];
                unit.M[at / 32] = (float)((Half*)source.Biases)[b];
            }
        }
    }

    protected override void EncodeRow(ReadOnlySpan<float> row, in PlanePointers destination, in EncodeOptions options)
    {
        for (int b = 0; b < row.Length / WeightsPerBlock; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * WeightsPerBlock, WeightsPerBlock);
            float low = x[0], high = x[0];
            foreach (float value in x)
            {
                (low, high) = (Math.Min(low, value), Math.Max(high, value));
            }

            bool isLow = MathF.Abs(low) > MathF.Abs(high);
            float scale = Math.Max((high - low) / 15, 1e-7f) * (isLow ? 1 : -1);
            float edge = isLow ? low : high;
            float steps = MathF.Round(edge / scale);
            float bias = steps == 0 ? 0 : edge;
            scale = steps == 0 ? scale : edge / steps;
            ((Half*)destination.Scales)[b] = (Half)scale;
            ((Half*)destination.Biases)[b] = (Half)bias;
            for (int i = 0; i < WeightsPerBlock; i += 2)
            {
                int first = (int)Math.Clamp(MathF.Round((x[i] - bias) / scale), 0, 15);
                int second = (int)Math.Clamp(MathF.Round((x[i + 1] - bias) / scale), 0, 15);
                destination.Codes[((b * WeightsPerBlock) + i) / 2] = (byte)(first | second << 4);
            }
        }
    }

    private static int Code(byte* codes, int i) => (codes[i / 2] >> (i % 2 * 4)) & 15;

    private static CodecPlane Plane(string name, int bytes) => new() { Name = name, BytesPerBlock = bytes };
}
