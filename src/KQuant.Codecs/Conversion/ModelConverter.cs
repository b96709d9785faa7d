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
        return Run(new ConversionJob(plan, output, options ?? new ConversionOptions(), progress, cancellationToken));
    }

    /// <summary>
    /// Does the share of one of several processes: encodes its tensors, about as many bytes of the source as every other's, into a file of
    /// its own (<see cref="JobShard.GetPartPath"/>). A part that is there, complete and of the same source, plan and options, stays. The
    /// processes need nothing of one another.
    /// </summary>
    /// <param name="plan">What to do with each tensor; the same for all parts.</param>
    /// <param name="output">The folder or file that the parts will become; nothing is written there.</param>
    /// <param name="shard">Which part.</param>
    /// <param name="options">Mode, importance, threads; null for the default. <see cref="ConversionOptions.Overwrite"/> is about the part.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels within a fraction of a second; nothing is left behind.</param>
    /// <returns>What became of the tensors of this part.</returns>
    /// <exception cref="NotSupportedException">As for <see cref="Convert"/>; or experts are to be named one by one.</exception>
    /// <exception cref="InvalidWeightException">A weight cannot be encoded; the message has tensor, row and column.</exception>
    /// <exception cref="ModelFormatException">There is a part that is damaged, or of another source, plan or options.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    /// <exception cref="OperationCanceledException">The conversion was cancelled.</exception>
    public static ConversionReport ConvertPart(
        QuantizationPlan plan,
        string output,
        JobShard shard,
        ConversionOptions? options = null,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        options = CheckParts(options);
        ArgumentNullException.ThrowIfNull(shard);
        string path = shard.GetPartPath(output, ConversionPart.Extension);
        CheckOutput(plan.Source, path);
        CheckOutput(plan.Source, output);
        if (plan.Source is ModelFolder folder)
        {
            CheckpointConversion.Check(folder, plan);
        }

        var identity = PartIdentity.Of(plan, options);
        PlannedTensor[] tensors = ConversionPart.TensorsOf(plan, shard);
        var job = new ConversionJob(plan, path, options, progress, cancellationToken);
        if (!options.Overwrite && File.Exists(path))
        {
            using ConversionPart part = ConversionPart.Open(path, shard, identity, plan);
            foreach (PlannedTensor tensor in tensors)
            {
                for (int plane = 0; plane < tensor.Codec!.Planes.Length; plane++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    part.CopyPlaneTo(tensor, plane, Stream.Null);
                }
            }

            return new ConversionReport
            {
                Output = path,
                Tensors = [.. tensors.Select(tensor => new ConvertedTensor { Planned = tensor, Error = part.ErrorOf(tensor) })],
                Notes = [],
                WasThere = true,
            };
        }

        ConversionPart.Write(path, shard, identity, job);
        return job.ReportOn(tensors);
    }

    /// <summary>
    /// Makes the whole from the parts of <see cref="ConvertPart"/>: the same bytes that <see cref="Convert"/> would have written. Tensors that
    /// are not encoded are copied from the source. The parts stay.
    /// </summary>
    /// <param name="plan">The plan of the parts.</param>
    /// <param name="output">The folder or file to write. It appears when it is complete.</param>
    /// <param name="options">The options of the parts; null for the default.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels within a fraction of a second; nothing is left behind.</param>
    /// <returns>What became of each tensor, with its error.</returns>
    /// <exception cref="NotSupportedException">As for <see cref="Convert"/>; or experts are to be named one by one.</exception>
    /// <exception cref="ModelFormatException">A part is damaged, or of another source, plan or options.</exception>
    /// <exception cref="IOException">A part is missing, or as for <see cref="Convert"/>.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static ConversionReport Assemble(
        QuantizationPlan plan,
        string output,
        ConversionOptions? options = null,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        options = CheckParts(options);
        CheckOutput(plan.Source, output);
        using var parts = new PartSet(output, plan, PartIdentity.Of(plan, options));
        return Run(new ConversionJob(plan, output, options, progress, cancellationToken) { Parts = parts });
    }

    private static ConversionReport Run(ConversionJob job) => job.Plan.Source switch
    {
        ModelFolder folder => CheckpointConversion.Run(folder, job),
        GgufSource gguf => GgufConversion.Run(gguf, job),
        ModelSource source => throw new NotSupportedException($"{source.Path}: only checkpoint folders and GGUF files are converted."),
    };

    private static ConversionOptions CheckParts(ConversionOptions? options) => options?.ExpertNames is null
        ? options ?? new ConversionOptions()
        : throw new NotSupportedException("Parts keep experts stacked; names of single experts are for a conversion in one piece.");

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
