using System.Buffers;
using System.Collections.Immutable;

namespace KQuant.Codecs.Files;

/// <summary>
/// One tensor of a model, whatever file or files it comes from: described without being read, and read in pieces of any size, so that a
/// model larger than memory can be streamed through a conversion.
/// </summary>
/// <remarks>Reading is safe from several threads at once.</remarks>
public abstract class ModelTensor
{
    private const int CopyBufferBytes = 1 << 20;

    /// <summary>The name of the tensor in its model, <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Logical dimensions, outermost first: [out, in] of a matrix, [experts, out, in] of a stack, empty for a scalar.</summary>
    public abstract ImmutableArray<long> Shape { get; }

    /// <summary>The codec of the stored bytes, or null when there is none for them: integers, or a format that is not known here.</summary>
    public abstract QuantCodec? Codec { get; }

    /// <summary>The stored format as a person would name it: <c>bf16</c>, <c>q4_k</c>, <c>i64</c>, <c>iq4_xs</c>.</summary>
    public abstract string FormatName { get; }

    /// <summary>Stored bytes; may exceed 2 GiB.</summary>
    public abstract long ByteCount { get; }

    /// <summary>Copies stored bytes.</summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    public abstract void ReadBytes(long offset, Span<byte> destination);

    /// <summary>Decodes whole rows.</summary>
    /// <param name="firstRow">Row number over all experts.</param>
    /// <param name="destination">Filled completely; a multiple of the last dimension.</param>
    /// <exception cref="ArgumentException">The destination holds no whole rows, or the rows do not exist.</exception>
    /// <exception cref="NotSupportedException"><see cref="Codec"/> is null.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    public abstract void ReadRows(long firstRow, Span<float> destination);

    /// <summary>
    /// The tensor as one block of wire bytes: a view of the file where it lies there in one piece, else, and unless a class says otherwise,
    /// a copy.
    /// </summary>
    /// <returns>The weights; not valid beyond the life of the model.</returns>
    /// <exception cref="NotSupportedException"><see cref="Codec"/> is null.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    public virtual QuantizedTensor Load() => Codec is null
        ? throw new NotSupportedException($"Tensor '{Name}' is {FormatName}, which is not decoded here.")
        : TensorCopy.Load(this);

    /// <summary>Number of weights.</summary>
    /// <returns>The product of the dimensions.</returns>
    public long GetWeightCount() => TensorShapes.Product(Shape.AsSpan());

    /// <summary>The dimensions as experts, rows and columns; see <see cref="SafetensorsTensor.AsWeights()"/>.</summary>
    /// <returns>The shape.</returns>
    /// <exception cref="NotSupportedException">A row has more than 2^31 - 1 weights.</exception>
    public QuantShape GetQuantShape() => TensorShapes.TryGetQuantShape(Shape.AsSpan(), out QuantShape shape)
        ? shape
        : throw new NotSupportedException($"Tensor '{Name}' has rows of {Shape[^1]} weights; {int.MaxValue} is the longest.");

    /// <summary>Writes the stored bytes as they are, a megabyte at a time.</summary>
    /// <param name="stream">Where they go.</param>
    public void CopyTo(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(CopyBufferBytes);
        try
        {
            for (long offset = 0; offset < ByteCount;)
            {
                int count = (int)Math.Min(buffer.Length, ByteCount - offset);
                ReadBytes(offset, buffer.AsSpan(0, count));
                stream.Write(buffer, 0, count);
                offset += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {FormatName} [{string.Join(", ", Shape)}]";
}
