using KQuant.Codecs.Files;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Reads everything that a file offers, as a careless program would.</summary>
internal static class GgufReading
{
    /// <summary>Opens a file and reads every value and every byte of every tensor.</summary>
    /// <returns>Null, or the refusal.</returns>
    public static ModelFormatException? ReadAll(string path)
    {
        try
        {
            using GgufFile file = GgufFile.Open(path);
            foreach ((_, GgufValue value) in file.Metadata)
            {
                ReadValue(value);
            }

            ModelFormatException? refusal = null;
            foreach (GgufTensor tensor in file.Tensors)
            {
                try
                {
                    ReadTensor(tensor);
                }
                catch (ModelFormatException exception)
                {
                    refusal = exception;
                }
            }

            return refusal;
        }
        catch (ModelFormatException exception)
        {
            return exception;
        }
    }

    private static void ReadValue(GgufValue value)
    {
        _ = value.ToString();
        if (value.TryGetStrings(out GgufStrings? strings) && strings.Count > 0)
        {
            _ = strings.Count(text => text.Length > 0);
            _ = strings[^1];
        }

        if (value.TryGetArrays(out GgufValue[]? arrays))
        {
            Array.ForEach(arrays, ReadValue);
        }
    }

    private static void ReadTensor(GgufTensor tensor)
    {
        int sum = 0;
        foreach (byte b in tensor.UnsafeGetBytes())
        {
            sum += b;
        }

        if (tensor.Codec is not null)
        {
            using QuantizedTensor weights = tensor.AsWeights();
            var row = new float[weights.Shape.Columns];
            for (long i = 0; i < weights.Shape.TotalRows; i++)
            {
                weights.DecodeRow(i, row);
            }
        }
    }
}
