using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>A tensor of an adapter in float32, every value finite.</summary>
/// <param name="Name">What the file calls it.</param>
/// <param name="Shape">Outermost first.</param>
/// <param name="Values">Row-major.</param>
/// <param name="Codec">How it was stored.</param>
internal sealed record AdapterMatrix(string Name, long[] Shape, float[] Values, QuantCodec Codec)
{
    /// <summary>The most bytes of it in float32: what one array holds.</summary>
    private const long MaxBytes = int.MaxValue / 2;

    /// <summary>The shape as messages have it.</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";

    /// <summary>Reads a tensor of a safetensors file.</summary>
    /// <exception cref="ModelFormatException">It is not made of floats, or a value is not finite.</exception>
    public static AdapterMatrix Read(SafetensorsTensor tensor)
    {
        if (!tensor.ElementType.TryGetCodec(out QuantCodec? codec))
        {
            throw new ModelFormatException(tensor.FilePath, $"the values are {tensor.ElementType}; those of an adapter are F32, F16 or BF16", tensor.Name);
        }

        return Read(tensor.FilePath, tensor.Name, [.. tensor.Shape], codec, tensor.AsWeights);
    }

    /// <summary>Reads a tensor of a GGUF file, which has no trailing dimensions of 1.</summary>
    /// <exception cref="ModelFormatException">It has no codec, or a value is not finite.</exception>
    public static AdapterMatrix Read(string path, GgufTensor tensor)
    {
        if (tensor.Codec is null)
        {
            throw new ModelFormatException(path, $"format {tensor.TypeName} cannot be read", tensor.Name);
        }

        long[] shape = [.. tensor.Dimensions.Reverse()];
        return Read(path, tensor.Name, shape.Length switch { 0 => [1, 1], 1 => [1, .. shape], _ => shape }, tensor.Codec, tensor.AsWeights);
    }

    /// <summary>A matrix, or each of a stack, with rows and columns exchanged.</summary>
    public AdapterMatrix Transposed()
    {
        int rows = (int)Shape[^2], columns = (int)Shape[^1], size = rows * columns;
        var turned = new float[Values.Length];
        for (int at = 0; at < turned.Length; at += size)
        {
            for (int row = 0; row < rows; row++)
            {
                for (int column = 0; column < columns; column++)
                {
                    turned[at + (column * rows) + row] = Values[at + (row * columns) + column];
                }
            }
        }

        return this with { Shape = [.. Shape[..^2], columns, rows], Values = turned };
    }

    private static AdapterMatrix Read(string path, string name, long[] shape, QuantCodec codec, Func<QuantizedTensor> open)
    {
        long count = TensorShapes.Product(shape);
        if (count * sizeof(float) > MaxBytes)
        {
            throw new ModelFormatException(path, $"{count} values are too many for a tensor of an adapter", name);
        }

        if (count == 0)
        {
            return new AdapterMatrix(name, shape, [], codec);
        }

        using QuantizedTensor tensor = open();
        var values = new float[count];
        int columns = tensor.Shape.Columns;
        for (int row = 0; row < tensor.Shape.TotalRows; row++)
        {
            Span<float> decoded = values.AsSpan(row * columns, columns);
            tensor.DecodeRow(row, decoded);
            foreach (float value in decoded)
            {
                if (!float.IsFinite(value))
                {
                    throw new ModelFormatException(path, FormattableString.Invariant($"a value of row {row} is {value}"), name);
                }
            }
        }

        return new AdapterMatrix(name, shape, values, codec);
    }
}
