using System.Runtime.CompilerServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// A codec is its block: a packed struct whose size is the wire size, the scalar code that turns weights into blocks and back, and whatever
/// the rest of the package has to know of the format. Members with a default need to be there only where it is wrong.
/// </summary>
/// <typeparam name="TSelf">The block struct.</typeparam>
internal interface IQuantBlock<TSelf>
    where TSelf : unmanaged, IQuantBlock<TSelf>
{
    /// <summary>The GGML type; null for a format that GGML does not have.</summary>
    static abstract QuantFormat? Format { get; }

    /// <summary>The codec's name: that of the GGML type in lower case, or of the struct.</summary>
    static virtual string Name => TSelf.Format?.ToString().ToLowerInvariant() ?? typeof(TSelf).Name;

    /// <summary>Weights in one block.</summary>
    static abstract int WeightsPerBlock { get; }

    /// <summary>What llama.cpp takes for rows that are no whole number of these blocks; null for F16.</summary>
    static virtual QuantFormat? Fallback => null;

    /// <summary>The <c>general.file_type</c> of a GGUF file of mostly these blocks; null if there is none.</summary>
    static virtual GgufFileType? FileType => null;

    /// <summary>
    /// The largest error of a weight matrix, relative to its energy, before something is wrong with it: three to four times what encoders
    /// reach on a trained language model. The default follows from the bits per weight.
    /// </summary>
    static virtual double ErrorLimit => QuantCodec.GetErrorLimit(8.0 * Unsafe.SizeOf<TSelf>() / TSelf.WeightsPerBlock);

    /// <summary>The largest magnitude that a block can hold, if that does not follow from a scale that would be infinite.</summary>
    internal static virtual float MaxWeight => float.PositiveInfinity;

    /// <summary>
    /// Whether the scales (of a pass-through format: the weight) are finite numbers, so that the block decodes to finite weights.
    /// </summary>
    bool IsFinite { get; }

    /// <summary>Where the block's binary16 scales and minima are, in bytes from its start.</summary>
    internal static virtual ReadOnlySpan<int> ScaleOffsets => [];

    /// <summary>What products with int8 activations must know; null for a format that only has products in float32.</summary>
    internal static virtual IntegerForm? Integers => null;

    /// <summary>Decodes blocks. This is the specification that every SIMD decoder is compared with.</summary>
    /// <param name="source">Blocks.</param>
    /// <param name="destination"><c>source.Length * WeightsPerBlock</c> weights.</param>
    static abstract void Decode(ReadOnlySpan<TSelf> source, Span<float> destination);

    /// <summary>
    /// Encodes one row of finite weights, in <see cref="EncodeMode.Reference"/>. <see cref="EncodeOptions.Importance"/> is empty or as long as the row. The overflow policy is the
    /// caller's business: a scale beyond binary16 is stored as infinity.
    /// </summary>
    /// <param name="source">The weights of a row, a whole number of blocks.</param>
    /// <param name="destination">The blocks of the row.</param>
    /// <param name="options">Importance.</param>
    static abstract void Encode(ReadOnlySpan<float> source, Span<TSelf> destination, in EncodeOptions options);

    /// <summary>Encodes rows in <see cref="EncodeMode.Best"/>; for formats that have nothing to search, as in the other mode.</summary>
    /// <param name="kernel">Writes the bytes of the other mode.</param>
    /// <param name="task">The rows.</param>
    internal static virtual void EncodeBest(EncodeKernel kernel, in EncodeTask task) => kernel.Run(task);

    /// <summary>
    /// Takes a block apart into integers. This is the specification of products with int8 activations, for formats with <see cref="Integers"/>.
    /// </summary>
    /// <param name="block">The block.</param>
    /// <param name="number">Which block of the unit it is: its weights are the unit's from <c>number * WeightsPerBlock</c> on.</param>
    /// <param name="unit">Receives them.</param>
    internal static virtual void Unpack(in TSelf block, int number, ref WeightUnit unit) =>
        throw new NotSupportedException($"{TSelf.Name} has no products with int8 activations.");
}
