using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Planes;

/// <summary>
/// A codec whose scales, and perhaps biases, lie in byte arrays of their own. One class for each, with the members below and whatever facts
/// differ from the defaults; parameters such as the group size are the instance's.
/// </summary>
internal abstract unsafe class PlaneCodec : QuantCodec
{
    // What a thread encodes before it asks for more: long against the asking, short against a matrix.
    private const int WeightsPerTurn = 16384;

    // What is decoded to float at a time on the way to a 16-bit destination.
    private const int BufferedWeights = 2048;

    private DecodeKernel? _decoder;

    /// <param name="name">The codec's name.</param>
    /// <param name="weightsPerBlock">Weights that share a scale.</param>
    /// <param name="planes">Codes, scales, biases: one to three.</param>
    protected PlaneCodec(string name, int weightsPerBlock, params ReadOnlySpan<CodecPlane> planes)
        : base(name, null, weightsPerBlock, planes) =>
        ScalarDecoder = new DecodeKernel(this, KernelTier.Scalar, &ScalarDecoders.DecodePlanes);

    public override QuantCodec Fallback => Get(QuantFormat.F16);

    public override GgufFileType? FileType => null;

    public override double ErrorLimit => GetErrorLimit(BitsPerWeight);

    public override KernelTier DecodeTier => Decoder.Tier;

    public override KernelTier EncodeTier => KernelTier.Scalar;

    internal override IntegerForm? Integers => null;

    internal override ReadOnlySpan<int> ScaleOffsets => [];

    internal override float MaxWeight => float.PositiveInfinity;

    internal override DecodeKernel ScalarDecoder { get; }

    internal override EncodeKernel? ScalarEncoder => null;

    private DecodeKernel Decoder => _decoder ??= DecodeKernels.Best(this, KernelTiers.Max);

    public sealed override void Decode(ReadOnlySpan<byte> source, Span<float> destination)
    {
        int blocks = CountBlocks(source.Length, destination.Length);
        fixed (byte* bytes = source)
        fixed (float* weights = destination)
        {
            Decoder.Run(Split(bytes, blocks), weights, blocks);
        }
    }

    [SkipLocalsInit]
    private protected sealed override void DecodeHalf(ReadOnlySpan<byte> source, Span<Half> destination)
    {
        int blocks = CountBlocks(source.Length, destination.Length);
        int run = BufferedWeights / WeightsPerBlock;
        Span<float> weights = stackalloc float[BufferedWeights];
        for (int b = 0; b < blocks; b += run)
        {
            int count = Math.Min(run, blocks - b) * WeightsPerBlock;
            DecodeRun(source, blocks, b, weights[..count]);
            TensorPrimitives.ConvertToHalf(weights[..count], destination[(b * WeightsPerBlock)..]);
        }
    }

    [SkipLocalsInit]
    private protected sealed override void DecodeBFloat16(ReadOnlySpan<byte> source, Span<BFloat16> destination)
    {
        int blocks = CountBlocks(source.Length, destination.Length);
        int run = BufferedWeights / WeightsPerBlock;
        Span<float> weights = stackalloc float[BufferedWeights];
        fixed (float* from = weights)
        fixed (BFloat16* to = destination)
        {
            for (int b = 0; b < blocks; b += run)
            {
                int count = Math.Min(run, blocks - b) * WeightsPerBlock;
                DecodeRun(source, blocks, b, weights[..count]);
                RoundKernels.Default.Run(from, (ushort*)to + ((nint)b * WeightsPerBlock), count);
            }
        }
    }

    public sealed override bool TryEncode(
        ReadOnlySpan<float> source, Span<byte> destination, out long bytesWritten, in EncodeOptions options = default, CancellationToken cancellationToken = default)
    {
        bytesWritten = 0;
        int rowLength = options.GetRowLength(source.Length);
        CheckEncode(source.Length, rowLength, options);
        long needed = GetByteCount(source.Length);
        if (destination.Length < needed)
        {
            return false;
        }

        fixed (byte* bytes = destination)
        {
            EncodePlanes(source, Split(bytes, source.Length / WeightsPerBlock), rowLength, options, cancellationToken);
        }

        bytesWritten = needed;
        return true;
    }

    internal sealed override void EncodeWith(
        EncodeKernel kernel, ReadOnlySpan<float> source, Span<byte> destination, in EncodeOptions options, CancellationToken cancellationToken) =>
        Encode(source, destination, options, cancellationToken);

    internal sealed override void EncodePlanes(
        ReadOnlySpan<float> source, in PlanePointers destination, int rowLength, in EncodeOptions options, CancellationToken cancellationToken)
    {
        CheckImportance(options);
        cancellationToken.ThrowIfCancellationRequested();
        if (source.IsEmpty)
        {
            return;
        }

        fixed (float* weights = source)
        fixed (float* importance = options.Importance)
        {
            var job = new RowJob(this, weights, destination, importance, rowLength, options);
            ParallelRows.Run(
                job, source.Length / rowLength, 1 + (WeightsPerTurn / rowLength), options.MaxDegreeOfParallelism, cancellationToken);
        }
    }

    internal override void Unpack(in PlanePointers source, int blocks, ref WeightUnit unit) =>
        throw new NotSupportedException($"{Name} has no products with int8 activations.");

    /// <summary>Decodes blocks: the specification.</summary>
    internal abstract override void DecodePlanes(in PlanePointers source, float* destination, nint blocks);

    /// <summary>Encodes one row of finite weights, whose number is the options' <see cref="EncodeOptions.FirstRow"/>.</summary>
    protected abstract void EncodeRow(ReadOnlySpan<float> row, in PlanePointers destination, in EncodeOptions options);

    // In one piece of memory, planes follow each other.
    private PlanePointers Split(byte* start, nint blocks)
    {
        byte* scales = start + (blocks * PlaneBytes(0));
        return new PlanePointers(start, PlaneBytes(1) == 0 ? null : scales, PlaneBytes(2) == 0 ? null : scales + (blocks * PlaneBytes(1)));
    }

    private void DecodeRun(ReadOnlySpan<byte> source, int blocks, int first, Span<float> weights)
    {
        fixed (byte* bytes = source)
        fixed (float* to = weights)
        {
            Decoder.Run(Split(bytes, blocks).Skip(this, first), to, weights.Length / WeightsPerBlock);
        }
    }

    private readonly struct RowJob(
        PlaneCodec codec, float* source, PlanePointers destination, float* importance, int rowLength, in EncodeOptions options) : IRowJob
    {
        private readonly int _importanceLength = options.Importance.Length;
        private readonly EncodeMode _mode = options.Mode;
        private readonly ScaleOverflow _overflow = options.Overflow;
        private readonly long _firstRow = options.FirstRow;

        public void Run(int first, int count)
        {
            for (int row = first; row < first + count; row++)
            {
                Run(row);
            }
        }

        private void Run(int row)
        {
            var weights = new ReadOnlySpan<float>(source + ((nint)row * rowLength), rowLength);
            float largest = MathF.Abs(TensorPrimitives.MaxMagnitude(weights));
            if (!float.IsFinite(largest))
            {
                Throw.WeightNotFinite(codec, _firstRow + row, weights);
            }

            if (largest > codec.MaxWeight && _overflow == ScaleOverflow.Error)
            {
                Throw.WeightTooLarge(codec, _firstRow + row, weights);
            }

            var rowOptions = new EncodeOptions
            {
                Importance = new ReadOnlySpan<float>(importance, _importanceLength),
                Mode = _mode,
                Overflow = _overflow,
                FirstRow = _firstRow + row,
            };
            codec.EncodeRow(weights, destination.Skip(codec, (nint)row * (rowLength / codec.WeightsPerBlock)), rowOptions);
        }
    }
}
