using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

public sealed partial class MetalBackend
{
    // Threads of a grid are counted in 32 bits.
    private const int MaxBlocksAtOnce = 1 << 24;

    /// <summary>Decodes all weights: the floats of <see cref="QuantCodec"/>, bit for bit, as long as scales are finite.</summary>
    /// <param name="weights">Weights of this backend.</param>
    /// <param name="destination">Exactly as many values as there are weights.</param>
    /// <typeparam name="T">
    /// <see cref="float"/>, or <see cref="Half"/> or <see cref="BFloat16"/>, to which weights are rounded to nearest, ties to even.
    /// </typeparam>
    /// <exception cref="ArgumentException">The length does not fit, or the weights are another backend's.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    /// <exception cref="MetalException">Metal made no buffer, or the device failed.</exception>
    public void Dequantize<T>(BackendWeights weights, Span<T> destination)
        where T : unmanaged =>
        Dequantize(weights, destination, QuantCodec.Get(FloatFormats.Of<T>()).Name);

    /// <summary>
    /// Whether <see cref="Encode"/> takes a codec: q4_0, q4_1, q5_0, q5_1 and q8_0, whose reference encoders are a few operations for each
    /// weight. K-quants search scales by sums whose last bit decides and whose order is fixed; processors do that better.
    /// </summary>
    /// <param name="codec">The codec.</param>
    /// <returns>Whether it does.</returns>
    public static bool CanEncode(QuantCodec codec)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return ShaderLibrary.Encoders.Contains(codec.Name);
    }

    /// <summary>
    /// Encodes weights in <see cref="EncodeMode.Reference"/> without importance: the bytes of <see cref="QuantCodec.Encode"/>. If a block
    /// is out of the ordinary (a weight not finite or below 2^-100, a scale beyond binary16) the processor encodes all, and reports what is
    /// wrong, if anything.
    /// </summary>
    /// <param name="codec">A codec that <see cref="CanEncode"/> allows.</param>
    /// <param name="source">Whole blocks of weights.</param>
    /// <param name="destination">Exactly their wire bytes.</param>
    /// <exception cref="NotSupportedException">The codec cannot be encoded here.</exception>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    /// <exception cref="InvalidWeightException">A weight cannot be encoded.</exception>
    /// <exception cref="MetalException">Metal made no buffer, or the device failed.</exception>
    public void Encode(QuantCodec codec, ReadOnlySpan<float> source, Span<byte> destination)
    {
        if (!CanEncode(codec))
        {
            throw new NotSupportedException($"{codec.Name} is encoded by QuantCodec.Encode, not by Metal.");
        }

        if (destination.Length != codec.GetByteCount(source.Length))
        {
            throw new ArgumentException(
                $"The destination has {destination.Length} bytes; {source.Length} weights of {codec.Name} are {codec.GetByteCount(source.Length)}.",
                nameof(destination));
        }

        if (source.IsEmpty)
        {
            return;
        }

        int blocks = source.Length / codec.WeightsPerBlock;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            RunQueued();
            using DeviceBuffer x = _device.CreateBuffer((long)source.Length * sizeof(float));
            using DeviceBuffer bytes = _device.CreateBuffer(destination.Length), onCpu = _device.CreateBuffer(blocks);
            source.CopyTo(x.Values<float>());
            for (int first = 0; first < blocks; first += MaxBlocksAtOnce)
            {
                int count = Math.Min(MaxBlocksAtOnce, blocks - first);
                DeviceCommand command = Prepare(MetalKernel.Encode, codec, Groups(count, MetalKernel.Encode.Outputs), 1);
                Enqueue(command, new EncodeArguments((ulong)first, (uint)count), argumentIndex: 3, null, x, bytes, onCpu, null);
            }

            RunQueued();
            if (onCpu.Values<byte>().ContainsAnyExcept((byte)0))
            {
                codec.Encode(source, destination);
            }
            else
            {
                bytes.Values<byte>().CopyTo(destination);
            }
        }
    }

    private unsafe void Dequantize<T>(BackendWeights weights, Span<T> destination, string type)
        where T : unmanaged
    {
        MetalWeights w = BackendArguments.Weights<MetalWeights>(weights);
        if (destination.Length != w.Tensor.Shape.TotalWeights)
        {
            throw new ArgumentException(
                $"The destination has {destination.Length} values; {w.Tensor} has {w.Tensor.Shape.TotalWeights}.", nameof(destination));
        }

        // To the shaders, sixteen plain floats are a block.
        long blocks = destination.Length / Math.Max(16, w.Tensor.Codec.WeightsPerBlock);
        MetalKernel kernel = MetalKernel.Dequantize(type);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            w.ThrowIfGone();
            RunQueued();
            using DeviceBuffer result = _device.CreateBuffer((long)destination.Length * sizeof(T));
            for (long first = 0; first < blocks; first += MaxBlocksAtOnce)
            {
                int count = (int)Math.Min(MaxBlocksAtOnce, blocks - first);
                DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(count, kernel.Outputs), 1);
                Enqueue(command, new DequantizeArguments((ulong)w.Offset, (ulong)first, (uint)count), argumentIndex: 2, w, w.Buffer, result, null);
            }

            RunQueued();
            result.Values<T>().CopyTo(destination);
        }
    }
}
