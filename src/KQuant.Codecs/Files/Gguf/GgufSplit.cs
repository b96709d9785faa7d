using System.Globalization;

namespace KQuant.Codecs.Files;

/// <summary>
/// A model in several files, as llama.cpp's gguf-split makes them: <c>name-00001-of-00003.gguf</c> and so on, all in one folder, each a
/// GGUF file with its own tensors; the metadata of the model is in the first.
/// </summary>
internal static class GgufSplit
{
    private const string NumberKey = "split.no";
    private const string CountKey = "split.count";
    private const string TensorCountKey = "split.tensors.count";
    private const int MaxParts = 99999;

    /// <summary>The number of files that a file says its model has; 1 if it says nothing.</summary>
    public static int CountParts(string path, GgufMetadata metadata)
    {
        if (!metadata.ContainsKey(CountKey))
        {
            return 1;
        }

        long count = metadata.GetInteger(CountKey);
        return count is >= 0 and <= MaxParts
            ? Math.Max(1, (int)count)
            : throw new ModelFormatException(path, $"key \'{CountKey}' is {count}; 1 to {MaxParts} parts are possible");
    }

    /// <summary>
    /// The paths of all parts, from that of the first. Only its last digits are replaced: nothing in the file can name another folder.
    /// </summary>
    public static string[] PartPaths(string firstPath, int count)
    {
        string suffix = Suffix(0, count);
        if (!firstPath.EndsWith(suffix, StringComparison.Ordinal))
        {
            throw new ModelFormatException(firstPath, $"the file is the first of {count} parts, so its name should end in '{suffix}'");
        }

        var paths = new string[count];
        for (int i = 0; i < count; i++)
        {
            paths[i] = firstPath[..^suffix.Length] + Suffix(i, count);
        }

        return paths;
    }

    /// <summary>Checks that a part says that it is the one expected.</summary>
    public static void CheckPart(string path, GgufMetadata metadata, int number, int count)
    {
        long foundNumber = metadata.GetInteger(NumberKey);
        if (foundNumber != number)
        {
            string hint = number == 0 ? "; open the first part, with 0" : "";
            throw new ModelFormatException(path, $"key \'{NumberKey}' is {foundNumber}; {number} was expected{hint}");
        }

        if (metadata.GetInteger(CountKey) != count)
        {
            throw new ModelFormatException(path, $"key \'{CountKey}' is {metadata.GetInteger(CountKey)}; the first part has {count}");
        }
    }

    /// <summary>Checks that all parts together have the tensors that the first one promises, if it does.</summary>
    public static void CheckTensorCount(string path, GgufMetadata metadata, int found)
    {
        if (metadata.ContainsKey(TensorCountKey) && metadata.GetInteger(TensorCountKey) != found)
        {
            throw new ModelFormatException(
                path, $"key '{TensorCountKey}' is {metadata.GetInteger(TensorCountKey)}; all parts together have {found}");
        }
    }

    /// <summary>The metadata of the model as one file would have it.</summary>
    public static GgufMetadata WithoutSplitKeys(string path, GgufMetadata metadata)
    {
        var values = new OrderedDictionary<string, GgufValue>(
            metadata.Where(pair => pair.Key is not (NumberKey or CountKey or TensorCountKey)));
        return new GgufMetadata(path, values, isReadOnly: true);
    }

    private static string Suffix(int number, int count) =>
        string.Create(CultureInfo.InvariantCulture, $"-{number + 1:00000}-of-{count:00000}.gguf");
}
