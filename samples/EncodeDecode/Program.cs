using KQuant.Codecs;
using KQuant.Codecs.Conversion;

// Encodes the same weights with every codec, decodes them again and shows what that costs.
float[] weights = new float[64 * 1024], decoded = new float[weights.Length];
var random = new Random(1);
for (int i = 0; i < weights.Length; i++)
{
    weights[i] = 0.05f * (random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f);
}

foreach (QuantCodec codec in QuantCodec.Quantized)
{
    byte[] wire = new byte[codec.GetByteCount(weights.Length)];
    codec.Encode(weights, wire);                                                     // ggml's bytes
    codec.Decode(wire, decoded);
    double reference = WeightError.Measure(weights, decoded).Nmse;

    codec.Encode(weights, wire, new EncodeOptions { Mode = EncodeMode.Best });       // the lowest error in the same format
    codec.Decode(wire, decoded);
    double best = WeightError.Measure(weights, decoded).Nmse;
    Console.WriteLine($"{codec.Name}: {wire.Length} bytes, NMSE {reference:E1}, best {best:E1}");
}
