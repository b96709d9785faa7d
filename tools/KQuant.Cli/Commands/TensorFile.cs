using System.CommandLine;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary>A tensor named on the command line as <c>FILE</c> or <c>FILE:NAME</c>, open for reading.</summary>
internal sealed class TensorFile : IDisposable
{
    private readonly ModelSource _source;

    private TensorFile(ModelSource source, ModelTensor tensor) => (_source, Tensor) = (source, tensor);

    public ModelTensor Tensor { get; }

    /// <summary>An argument that names a tensor.</summary>
    public static Argument<string> Argument(string name, string description) => new(name)
    {
        Description = $"{description} FILE:NAME, or FILE if it has only one.",
    };

    /// <summary>Opens a tensor.</summary>
    /// <param name="reference"><c>FILE</c> if the file has one tensor, else <c>FILE:NAME</c>.</param>
    /// <exception cref="CommandException">There is no such file or tensor.</exception>
    public static TensorFile Open(string reference)
    {
        (string path, string? name) = Split(reference);
        ModelSource source = ModelSource.Open(path);
        try
        {
            return new TensorFile(source, Find(source, name));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Splits <c>FILE:NAME</c>. What exists is a file, so that a colon inside a path or behind a drive letter does no harm: the longest
    /// part before a colon that exists is taken.
    /// </summary>
    /// <exception cref="CommandException">No part of it is a file.</exception>
    public static (string Path, string? Name) Split(string reference)
    {
        if (Path.Exists(reference))
        {
            return (reference, null);
        }

        for (int colon = reference.LastIndexOf(':'); colon > 0; colon = reference.LastIndexOf(':', colon - 1))
        {
            if (Path.Exists(reference[..colon]) && colon < reference.Length - 1)
            {
                return (reference[..colon], reference[(colon + 1)..]);
            }
        }

        // The drive letter of a Windows path is no file name.
        int last = reference.LastIndexOf(':');
        throw new CommandException($"{(last > 1 ? reference[..last] : reference)}: there is no such file.");
    }

    /// <summary>The values of a tensor that holds an importance: float, one row or one per expert.</summary>
    /// <exception cref="CommandException">The tensor holds no floats, or too many.</exception>
    public float[] ReadFloats()
    {
        long count = Tensor.GetWeightCount();
        if (Tensor.Codec is null or { IsQuantized: true } || count > Array.MaxLength)
        {
            throw new CommandException($"{_source.Path}: {Tensor} cannot be an importance; one float per column is.");
        }

        var values = new float[count];
        Tensor.ReadRows(0, values);
        return values;
    }

    public void Dispose() => _source.Dispose();

    private static ModelTensor Find(ModelSource source, string? name)
    {
        const int ShownNames = 8;
        if (name is null && source.Tensors.Count == 1)
        {
            return source.Tensors[0];
        }

        if (name is not null && source.TryGetTensor(name, out ModelTensor? tensor))
        {
            return tensor;
        }

        string names = string.Join(", ", source.Tensors.Take(ShownNames).Select(tensor => tensor.Name))
            + (source.Tensors.Count > ShownNames ? $" and {source.Tensors.Count - ShownNames} more" : "");
        throw new CommandException(name is null
            ? $"{source.Path} has {source.Tensors.Count} tensors; name one as {source.Path}:NAME, of {names}."
            : $"{source.Path} has no tensor '{name}'; it has {names}.");
    }
}
