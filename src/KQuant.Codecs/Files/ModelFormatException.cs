using KQuant.Codecs.Files;

namespace KQuant.Codecs;

/// <summary>
/// A model file that cannot be what it claims to be. The message is one sentence that names the file, the place and the value.
/// Readers of untrusted files throw this and nothing else for bad content.
/// </summary>
public sealed class ModelFormatException : KQuantException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="path">The file.</param>
    /// <param name="problem">What is wrong, with the value; a sentence without the file name.</param>
    /// <param name="tensorName">The tensor concerned, if one is.</param>
    /// <param name="offset">Byte offset in the file, if known.</param>
    /// <param name="innerException">The cause, if another exception told of it.</param>
    public ModelFormatException(
        string path, string problem, string? tensorName = null, long? offset = null, Exception? innerException = null)
        : base(Describe(path, problem, tensorName, offset), innerException)
    {
        Path = path;
        TensorName = tensorName;
        Offset = offset;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensor concerned, or null.</summary>
    public string? TensorName { get; }

    /// <summary>Byte offset in the file where the problem was found, or null.</summary>
    public long? Offset { get; }

    private static string Describe(string path, string problem, string? tensorName, long? offset)
    {
        string place = (tensorName, offset) switch
        {
            (null, null) => "",
            (null, _) => $" at byte {offset}",
            (_, null) => $", tensor '{Printable.Shorten(tensorName)}'",
            _ => $", tensor '{Printable.Shorten(tensorName)}' at byte {offset}",
        };
        return $"{path}{place}: {problem}";
    }
}
