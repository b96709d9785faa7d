using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// Carries a plan out: reads a model, encodes each tensor with the codec that the plan has for it, and writes the result. Everything goes
/// through in slices that several threads work on; the memory needed is a few dozen megabytes, and more only where a single row has more than
/// some hundred thousand weights.
/// </summary>
public static class ModelConverter
{
    /// <summary>
    /// Converts a model: a checkpoint folder to a checkpoint folder in the layout of MLX, a GGUF file, or whatever else is an
    /// <see cref="GgufSource"/>, to a GGUF file. A GGUF file does not become a checkpoint.
    /// </summary>
    /// <param name="plan">
    /// What to do with each tensor of its source: a <see cref="ModelFolder"/>, or a <see cref="GgufSource"/> such as <see cref="GgufModel"/>.
    /// </param>
    /// <param name="output">The folder or file to write. It appears when it is complete.</param>
    /// <param name="options">Mode, importance, threads; null for the default.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels within a fraction of a second; nothing is left behind.</param>
    /// <returns>What became of each tensor, with its error.</returns>
    /// <exception cref="NotSupportedException">The source is another kind of model, or a checkpoint of another quantization scheme.</exception>
    /// <exception cref="InvalidWeightException">A weight cannot be encoded; the message has tensor, row and column.</exception>
    /// <exception cref="ModelFormatException">A value of the importance matrix is negative or not finite.</exception>
    /// <exception cref="IOException">
    /// The output exists and may not, or is the source itself, or a file cannot be read or written.
    /// </exception>
    /// <exception cref="OperationCanceledException">The conversion was cancelled.</exception>
    public static ConversionReport Convert(
        QuantizationPlan plan,
        string output,
        ConversionOptions? options = null,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ModelSource source = plan.Source;
        CheckOutput(source, output);
        var job = new ConversionJob(plan, output, options ?? new ConversionOptions(), progress, cancellationToken);
        return source switch
        {
            ModelFolder folder => CheckpointConversion.Run(folder, job),
            GgufSource gguf => GgufConversion.Run(gguf, job),
            _ => throw new NotSupportedException($"{source.Path}: only checkpoint folders and GGUF files are converted."),
        };
    }

    /// <summary>Refuses to write over what is read, through whatever links. <see cref="Convert"/> does so too.</summary>
    /// <param name="source">The model that is read.</param>
    /// <param name="output">The folder or file to write.</param>
    /// <exception cref="IOException">The output is the model, one of its files, or lies inside its folder.</exception>
    public static void CheckOutput(ModelSource source, string output)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentException.ThrowIfNullOrEmpty(output);
        string target = LinkResolver.RealPath(output);
        foreach (string input in source is GgufModel gguf ? gguf.File.Files : [source.Path])
        {
            string real = LinkResolver.RealPath(input);
            if (Path.TrimEndingDirectorySeparator(target) == Path.TrimEndingDirectorySeparator(real))
            {
                throw new IOException($"{output} is the model that is read; the output must be another place.");
            }

            if (LinkResolver.IsBelow(real, target))
            {
                throw new IOException($"{output} lies inside {input}, which is read; the output must be another place.");
            }
        }
    }
}
