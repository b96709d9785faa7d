using System.Collections.Immutable;

namespace KQuant.Codecs.Files;

/// <summary>
/// One tensor of a model, whatever file or files it comes from: described without being read, and read in pieces of any size, so that a
/// model larger than memory can be streamed through a conversion.
/// </summary>
/// <remarks>Reading is safe from several threads at once.</remarks>
public interface IModelTensorSource
{
    /// <summary>The name of the tensor in its model, <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    string Name { get; }

    /// <summary>Logical dimensions, outermost first: [out, in] of a matrix, [experts, out, in] of a stack, empty for a scalar.</summary>
    ImmutableArray<long> Shape { get; }

    /// <summary>The codec of the stored bytes, or null when there is none for them: integers, or a format that is not known here.</summary>
    QuantCodec? Codec { get; }

    /// <summary>The stored format as a person would name it: <c>bf16</c>, <c>q4_k</c>, <c>i64</c>, <c>iq4_xs</c>.</summary>
    string FormatName { get; }

    /// <summary>Stored bytes; may exceed 2 GiB.</summary>
    long ByteCount { get; }

    /// <summary>Copies stored bytes.</summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    void ReadBytes(long offset, Span<byte> destination);

    /// <summary>Decodes whole rows.</summary>
    /// <param name="firstRow">Row number over all experts.</param>
    /// <param name="destination">Filled completely; a multiple of the last dimension.</param>
    /// <exception cref="ArgumentException">The destination holds no whole rows, or the rows do not exist.</exception>
    /// <exception cref="NotSupportedException"><see cref="Codec"/> is null.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    void ReadRows(long firstRow, Span<float> destination);

    /// <summary>The tensor as one block of wire bytes: a view of the file where it lies there in one piece, else a copy.</summary>
    /// <returns>The weights; not valid beyond the life of the model.</returns>
    /// <exception cref="NotSupportedException"><see cref="Codec"/> is null.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    QuantizedTensor Load();
}
