using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;
using KQuant.Codecs.Planes;

namespace KQuant.Codecs;

/// <summary>
/// One storage format: its geometry, and the way from weights to wire bytes and back. <see cref="All"/> is the table of codecs that
/// documentation, tools, tests and benchmarks walk.
/// </summary>
public abstract class QuantCodec
{
    // What is widened at a time on the way from a 16-bit source.
    private const int WidenedWeights = 1 << 16;

    private static int CreatedCount;

    private protected QuantCodec(string name, QuantFormat? format, int weightsPerBlock, params ReadOnlySpan<CodecPlane> planes)
    {
        Planes = [.. planes];
        Index = Interlocked.Increment(ref CreatedCount) - 1;
        Name = name;
        Format = format;
        WeightsPerBlock = weightsPerBlock;
        BytesPerBlock = Planes.Sum(plane => plane.BytesPerBlock);
    }

    /// <summary>
    /// The codecs whose weights take less than 16 bits: K-quants first, then GGML's other block formats, then MLX's modes. Of the affine ones those with
    /// scales in f16; for other types see <see cref="MlxFormat.GetCodec"/>.
    /// </summary>
    public static IReadOnlyList<QuantCodec> Quantized { get; } =
    [
        new QuantCodec<BlockQ2_K>(), new QuantCodec<BlockQ3_K>(), new QuantCodec<BlockQ4_K>(), new QuantCodec<BlockQ5_K>(),
        new QuantCodec<BlockQ6_K>(), new QuantCodec<BlockQ4_0>(), new QuantCodec<BlockQ4_1>(), new QuantCodec<BlockQ5_0>(),
        new QuantCodec<BlockQ5_1>(), new QuantCodec<BlockQ8_0>(), new QuantCodec<BlockIQ4_NL>(),
        new QuantCodec<BlockMXFP4>(), new QuantCodec<BlockNVFP4>(),
        .. AffineCodec.Create(ElementType.F16), new MxFloatCodec(MlxMode.MxFp4), new MxFloatCodec(MlxMode.MxFp8), new NvFloatCodec(),
    ];

    /// <summary>The pass-through formats: f32, f16, bf16.</summary>
    public static IReadOnlyList<QuantCodec> Floats { get; } =
        [new QuantCodec<BlockF32>(), new QuantCodec<BlockF16>(), new QuantCodec<BlockBF16>()];

    /// <summary>Every codec there is: <see cref="Quantized"/>, then <see cref="Floats"/>.</summary>
    public static IReadOnlyList<QuantCodec> All { get; } = [.. Quantized, .. Floats];

    /// <summary>The affine codecs of <see cref="All"/> again, with scales in bf16 and in f32.</summary>
    internal static IReadOnlyList<QuantCodec> OtherScales { get; } = [.. AffineCodec.Create(ElementType.BF16), .. AffineCodec.Create(ElementType.F32)];

    /// <summary>A number of its own in this process, 0, 1, 2, ...: tables of what belongs to codecs are arrays.</summary>
    public int Index { get; }

    /// <summary>The GGML type, whose value is the id in files; null for a codec that GGML does not have.</summary>
    public QuantFormat? Format { get; }

    /// <summary>
    /// The name in checkpoints and on the command line: ggml's spelling in lower case, <c>q4_k</c>; MLX's modes are <c>affine4_64</c> (bits and group),
    /// <c>mlx_mxfp4</c>.
    /// </summary>
    public string Name { get; }

    /// <summary>Weights in one block: 256 for K-quants, 16 to 128 for the others, 1 for pass-through formats.</summary>
    public int WeightsPerBlock { get; }

    /// <summary>Bytes of one block on the wire, in all planes together.</summary>
    public int BytesPerBlock { get; }

    /// <summary>
    /// The byte arrays that weights lie in: one for formats whose blocks hold their scales, otherwise codes, scales and biases, in this order.
    /// </summary>
    public ImmutableArray<CodecPlane> Planes { get; }

    /// <summary>How MLX describes the weights, for its own codecs; null for others.</summary>
    public virtual MlxFormat? Mlx => null;

    /// <summary>What happens to activations before they are multiplied with tensors of this codec; null for nothing.</summary>
    public virtual ActivationTransform? Transform => null;

    /// <summary>Bits that one weight takes, scales included.</summary>
    public double BitsPerWeight => 8.0 * BytesPerBlock / WeightsPerBlock;

    /// <summary>False for f32, f16 and bf16.</summary>
    public bool IsQuantized => WeightsPerBlock > 1;

    /// <summary>The codec for rows that are no whole number of this one's blocks, as llama.cpp chooses it; in the end f16.</summary>
    public abstract QuantCodec Fallback { get; }

    /// <summary>The <c>general.file_type</c> of a GGUF file of mostly this codec; null if there is none.</summary>
    public abstract GgufFileType? FileType { get; }

    /// <summary>
    /// The largest error of a weight matrix, relative to its energy (<see cref="WeightError.Nmse"/>), before something is wrong with it.
    /// </summary>
    public abstract double ErrorLimit { get; }

    /// <summary>The tier of the decoder that this process uses.</summary>
    public abstract KernelTier DecodeTier { get; }

    /// <summary>The tier of the encoder that this process uses in <see cref="EncodeMode.Reference"/>.</summary>
    public abstract KernelTier EncodeTier { get; }

    /// <summary>What products with int8 activations must know; null for a codec that only has products in float32.</summary>
    internal abstract IntegerForm? Integers { get; }

    /// <summary>Where a block's binary16 scales and minima are, in bytes from its start.</summary>
    internal abstract ReadOnlySpan<int> ScaleOffsets { get; }

    /// <summary>The largest magnitude that a block can hold, if that does not follow from a scale that would be infinite.</summary>
    internal abstract float MaxWeight { get; }

    /// <summary>The decoder that is the specification.</summary>
    internal abstract DecodeKernel ScalarDecoder { get; }

    /// <summary>The encoder that is the specification, in the table of encoders; null for a codec with planes, which has one way to encode.</summary>
    internal abstract EncodeKernel? ScalarEncoder { get; }

    internal static string NameList => string.Join(", ", All.Select(codec => codec.Name));

    /// <summary>The codec whose block is <typeparamref name="TBlock"/>.</summary>
    /// <typeparam name="TBlock">A block struct.</typeparam>
    /// <returns>The codec.</returns>
    internal static QuantCodec For<TBlock>()
        where TBlock : unmanaged, IQuantBlock<TBlock> => All.OfType<QuantCodec<TBlock>>().Single();

    /// <summary>The codec of a format.</summary>
    /// <param name="format">A quantized or pass-through format.</param>
    /// <returns>The codec.</returns>
    /// <exception cref="NotSupportedException">The format has no codec; the message gives its GGML type id.</exception>
    public static QuantCodec Get(QuantFormat format)
    {
        if (!TryGet(format, out QuantCodec? codec))
        {
            Throw.UnknownFormat(format);
        }

        return codec;
    }

    /// <summary>The codec of a format, if it has one.</summary>
    /// <param name="format">A format, or any GGML type id cast to one.</param>
    /// <param name="codec">The codec, or null.</param>
    /// <returns>Whether the format has a codec.</returns>
    public static bool TryGet(QuantFormat format, [NotNullWhen(true)] out QuantCodec? codec)
    {
        IReadOnlyList<QuantCodec> codecs = All;
        for (int i = 0; i < codecs.Count; i++)
        {
            if (codecs[i].Format == format)
            {
                codec = codecs[i];
                return true;
            }
        }

        codec = null;
        return false;
    }

    /// <summary>The codec of a name such as <c>q4_k</c> or <c>Q4_K</c>.</summary>
    /// <param name="name">A name, in any case.</param>
    /// <param name="codec">The codec, or null.</param>
    /// <returns>Whether the name is known.</returns>
    public static bool TryParse(string? name, [NotNullWhen(true)] out QuantCodec? codec)
    {
        codec = All.Concat(OtherScales).FirstOrDefault(c => string.Equals(c.Name, name, StringComparison.OrdinalIgnoreCase));
        return codec is not null;
    }

    /// <summary>Wire bytes of a number of weights.</summary>
    /// <param name="weights">Weights, a multiple of <see cref="WeightsPerBlock"/>.</param>
    /// <returns>The byte count.</returns>
    /// <exception cref="ArgumentException">The weights are no whole number of blocks.</exception>
    public long GetByteCount(long weights)
    {
        if (weights < 0 || weights % WeightsPerBlock != 0)
        {
            Throw.NotWholeBlocks(this, "a run of weights", weights, WeightsPerBlock, nameof(weights));
        }

        return checked(weights / WeightsPerBlock * BytesPerBlock);
    }

    /// <summary>Decodes whole blocks.</summary>
    /// <param name="source">Wire bytes, a whole number of blocks; of several planes, the first, the second and so on.</param>
    /// <param name="destination">Exactly as many weights as the source holds.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public abstract void Decode(ReadOnlySpan<byte> source, Span<float> destination);

    /// <summary>Decodes whole blocks, each weight rounded to nearest even.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    /// <inheritdoc cref="Decode(ReadOnlySpan{byte}, Span{float})"/>
    public void Decode<T>(ReadOnlySpan<byte> source, Span<T> destination)
        where T : unmanaged
    {
        switch (FloatFormats.Of<T>())
        {
            case QuantFormat.F32: Decode(source, MemoryMarshal.Cast<T, float>(destination)); break;
            case QuantFormat.F16: DecodeHalf(source, MemoryMarshal.Cast<T, Half>(destination)); break;
            default: DecodeBFloat16(source, MemoryMarshal.Cast<T, BFloat16>(destination)); break;
        }
    }

    /// <summary>Encodes rows of weights.</summary>
    /// <param name="source">Finite weights, whole rows of <see cref="EncodeOptions.RowLength"/>.</param>
    /// <param name="destination">At least as many bytes as the rows take. Several planes come one after the other.</param>
    /// <param name="options">Mode, importance, threads; the default encodes the source as one row, as ggml's reference does.</param>
    /// <param name="cancellationToken">Cancels a long encode between rows.</param>
    /// <returns>The bytes written.</returns>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    /// <exception cref="InvalidWeightException">
    /// A weight or an importance is not finite, an importance is negative, or weights are beyond the scales of the format. Of several rows
    /// the lowest is reported, whatever the number of threads; what was written to the destination by then is undefined.
    /// </exception>
    /// <exception cref="OperationCanceledException">The encode was cancelled.</exception>
    public long Encode(ReadOnlySpan<float> source, Span<byte> destination, in EncodeOptions options = default, CancellationToken cancellationToken = default)
    {
        if (!TryEncode(source, destination, out long bytesWritten, options, cancellationToken))
        {
            Throw.DestinationTooSmall(this, destination.Length, GetByteCount(source.Length), nameof(destination));
        }

        return bytesWritten;
    }

    /// <summary>Encodes rows of weights in other number types, which are widened a few rows at a time.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    /// <inheritdoc cref="Encode(ReadOnlySpan{float}, Span{byte}, in EncodeOptions, CancellationToken)"/>
    public long Encode<T>(
        ReadOnlySpan<T> source, Span<byte> destination, in EncodeOptions options = default, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        QuantCodec stored = Get(FloatFormats.Of<T>());
        if (destination.Length < GetByteCount(source.Length))
        {
            Throw.DestinationTooSmall(this, destination.Length, GetByteCount(source.Length), nameof(destination));
        }

        // Codes and scales that lie apart do so for all rows together.
        int rowLength = options.GetRowLength(source.Length);
        int rows = Planes.Length > 1 || rowLength == 0 ? int.MaxValue : Math.Max(1, WidenedWeights / rowLength);
        int run = (int)Math.Min(source.Length, (long)rows * rowLength);
        float[] weights = ArrayPool<float>.Shared.Rent(run);
        try
        {
            long written = 0;
            for (int first = 0; first < source.Length; first += run)
            {
                ReadOnlySpan<T> part = source.Slice(first, Math.Min(run, source.Length - first));
                stored.Decode(MemoryMarshal.AsBytes(part), weights.AsSpan(0, part.Length));
                var partOptions = options with { RowLength = rowLength, FirstRow = options.FirstRow + (first / rowLength) };
                written += Encode(weights.AsSpan(0, part.Length), destination[(int)written..], partOptions, cancellationToken);
            }

            return written;
        }
        finally
        {
            ArrayPool<float>.Shared.Return(weights);
        }
    }

    /// <summary>Encodes rows of weights if the destination is large enough.</summary>
    /// <param name="source">Finite weights, whole rows of <see cref="EncodeOptions.RowLength"/>.</param>
    /// <param name="destination">Where the wire bytes go.</param>
    /// <param name="bytesWritten">The bytes written, 0 when the destination is too small.</param>
    /// <param name="options">Mode, importance, threads.</param>
    /// <param name="cancellationToken">Cancels a long encode between rows.</param>
    /// <returns>False when the destination is too small; other problems throw as <see cref="Encode"/> does.</returns>
    public abstract bool TryEncode(
        ReadOnlySpan<float> source, Span<byte> destination, out long bytesWritten, in EncodeOptions options = default, CancellationToken cancellationToken = default);

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Decodes whole blocks, each weight rounded to nearest even.</summary>
    private protected abstract void DecodeHalf(ReadOnlySpan<byte> source, Span<Half> destination);

    /// <summary>Decodes whole blocks, each weight rounded to nearest even.</summary>
    private protected abstract void DecodeBFloat16(ReadOnlySpan<byte> source, Span<BFloat16> destination);

    /// <summary>Encodes rows with an encoder of the table instead of the best one; lengths are right.</summary>
    internal abstract void EncodeWith(
        EncodeKernel kernel, ReadOnlySpan<float> source, Span<byte> destination, in EncodeOptions options, CancellationToken cancellationToken);

    /// <summary>Takes blocks apart into integers; for codecs with <see cref="Integers"/>.</summary>
    /// <param name="source">Blocks of a row.</param>
    /// <param name="blocks">How many there are, at most 256 weights.</param>
    /// <param name="unit">Receives the 256 weights; those that are not there become zero.</param>
    internal abstract void Unpack(in PlanePointers source, int blocks, ref WeightUnit unit);

    /// <summary>Bytes of one block in a plane; 0 if there is no such plane.</summary>
    internal int PlaneBytes(int plane) => plane < Planes.Length ? Planes[plane].BytesPerBlock : 0;

    /// <summary>Decodes blocks of a codec with several planes.</summary>
    internal virtual unsafe void DecodePlanes(in PlanePointers source, float* destination, nint blocks) =>
        throw new NotSupportedException($"{Name} has one plane.");

    /// <summary>Encodes rows of a codec with several planes; lengths were checked.</summary>
    internal virtual void EncodePlanes(ReadOnlySpan<float> source, in PlanePointers destination, int rowLength, in EncodeOptions options, CancellationToken cancellationToken) =>
        throw new NotSupportedException($"{Name} has one plane.");

    /// <summary>An error limit that fits most codecs with so many bits per weight: a bit more quarters it.</summary>
    internal static double GetErrorLimit(double bitsPerWeight) => 12.8 * Math.Pow(4, -bitsPerWeight);

    private protected void CheckEncode(int weights, int rowLength, in EncodeOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.RowLength, nameof(options));
        if (rowLength % WeightsPerBlock != 0)
        {
            Throw.NotWholeBlocks(this, "a row", rowLength, WeightsPerBlock, nameof(options));
        }

        if (weights != 0 && weights % rowLength != 0)
        {
            Throw.NotWholeBlocks(this, "the source", weights, rowLength, "source");
        }

        if (!options.Importance.IsEmpty && options.Importance.Length != rowLength)
        {
            Throw.LengthMismatch(this, "the importance", options.Importance.Length, rowLength, nameof(options));
        }
    }

    private protected int CountBlocks(int bytes, int weights)
    {
        if (bytes % BytesPerBlock != 0)
        {
            Throw.NotWholeBlocks(this, "the source", bytes, BytesPerBlock, "source");
        }

        int blocks = bytes / BytesPerBlock;
        if (weights != (long)blocks * WeightsPerBlock)
        {
            Throw.LengthMismatch(this, "the destination", weights, (long)blocks * WeightsPerBlock, "destination");
        }

        return blocks;
    }

    private protected void CheckImportance(in EncodeOptions options)
    {
        if (!options.Importance.IsEmpty
            && !(TensorPrimitives.Min(options.Importance) >= 0 && float.IsFinite(TensorPrimitives.Max(options.Importance))))
        {
            Throw.InvalidImportance(this, options.FirstRow, options.Importance);
        }
    }
}
