using KQuant.Codecs.Files;
using static System.FormattableString;

namespace KQuant.Codecs.Conversion;

/// <summary>Checks a model: its structure, every scale and weight, and how far it is from the model it was made from.</summary>
public static class ModelVerifier
{
    /// <summary>
    /// Reads all of a model. Structure is what a loader relies on: layers without a gap, dimensions as the configuration has them, the
    /// placeholders beside quantized weights. A scale that is infinite or NaN shows in the weights that it decodes to.
    /// </summary>
    /// <param name="model">The model to check.</param>
    /// <param name="against">
    /// The model to compare it with, tensor by tensor; null for none. Both are files of one kind, or one is a GGUF file and
    /// the other a checkpoint seen as one (<see cref="GgufSource"/>).
    /// </param>
    /// <param name="options">Limits and threads; null for the default.</param>
    /// <param name="progress">Told several times per megabyte of <paramref name="model"/>, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels within a fraction of a second.</param>
    /// <returns>What was found; problems are no exceptions.</returns>
    /// <exception cref="NotSupportedException">One of the models has the tensors of a GGUF file and the other has not.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="OperationCanceledException">The check was cancelled.</exception>
    public static VerificationReport Verify(
        ModelSource model,
        ModelSource? against = null,
        VerificationOptions? options = null,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (against is not null && IsGguf(model) != IsGguf(against))
        {
            throw new NotSupportedException(
                $"{model.Path} and {against.Path} cannot be compared: one is a GGUF file and the other is not.");
        }

        options ??= new VerificationOptions();
        List<string> problems = [.. ModelStructure.FindProblems(model).Concat(options.FindProblems?.Invoke(model) ?? [])];
        var tensors = new List<VerifiedTensor>(model.Tensors.Count);
        long done = 0, total = model.Tensors.Sum(tensor => tensor.ByteCount);
        foreach (ModelTensor tensor in model.Tensors)
        {
            progress?.Report(new ModelProgress
            {
                TensorName = tensor.Name,
                TensorIndex = tensors.Count,
                TensorCount = model.Tensors.Count,
                BytesDone = done,
                TotalBytes = total,
            });
            ModelTensor? other = FindCounterpart(tensor, against, problems);
            VerifiedTensor result = tensor.Codec is null
                ? new VerifiedTensor
                {
                    Source = tensor,
                    IsChecked = false,
                    NonFiniteCount = 0,
                    FirstNonFiniteRow = -1,
                    Error = null,
                    Limit = double.PositiveInfinity,
                }
                : Check(tensor, other, options, Report(tensor, tensors.Count, done), cancellationToken);
            AddProblems(result, problems);
            tensors.Add(result);
            done += tensor.ByteCount;
        }

        foreach (ModelTensor tensor in against?.Tensors ?? [])
        {
            if (!model.TryGetTensor(tensor.Name, out _))
            {
                problems.Add($"{tensor.Name} is missing; {against!.Path} has it.");
            }
        }

        return new VerificationReport { Tensors = tensors, Problems = problems };

        Action<long>? Report(ModelTensor tensor, int index, long start) => progress is null
            ? null
            : bytes => progress.Report(new ModelProgress
            {
                TensorName = tensor.Name,
                TensorIndex = index,
                TensorCount = model.Tensors.Count,
                BytesDone = start + bytes,
                TotalBytes = total,
            });
    }

    private static bool IsGguf(ModelSource model) => model is GgufSource;

    private static VerifiedTensor Check(
        ModelTensor tensor,
        ModelTensor? other,
        VerificationOptions options,
        Action<long>? progress,
        CancellationToken cancellationToken)
    {
        var check = new TensorCheck(tensor, other);
        check.Run(options.MaxDegreeOfParallelism, progress, cancellationToken);
        return new VerifiedTensor
        {
            Source = tensor,
            IsChecked = true,
            NonFiniteCount = check.NonFiniteCount,
            FirstNonFiniteRow = check.FirstNonFiniteRow,
            Error = check.Error,
            Limit = options.Limits[tensor.Codec!],
        };
    }

    private static ModelTensor? FindCounterpart(ModelTensor tensor, ModelSource? against, List<string> problems)
    {
        if (against is null)
        {
            return null;
        }

        if (!against.TryGetTensor(tensor.Name, out ModelTensor? other))
        {
            problems.Add($"{tensor.Name} is not in {against.Path}.");
            return null;
        }

        if (!other.Shape.AsSpan().SequenceEqual(tensor.Shape.AsSpan()))
        {
            problems.Add(
                $"{tensor.Name} is [{string.Join(", ", tensor.Shape)}], but [{string.Join(", ", other.Shape)}] in {against.Path}.");
            return null;
        }

        return other.Codec is null ? null : other;
    }

    private static void AddProblems(VerifiedTensor tensor, List<string> problems)
    {
        if (tensor.NonFiniteCount > 0)
        {
            problems.Add(Invariant(
                $"{tensor.Source.Name}: {tensor.NonFiniteCount} weights are not finite, the first in row {tensor.FirstNonFiniteRow}."));
        }
        else if (tensor.ExceedsLimit)
        {
            problems.Add(Invariant(
                $"{tensor.Source.Name}: NMSE {tensor.Error!.Value.Nmse:g3} exceeds the limit of {tensor.Source.FormatName}, {tensor.Limit:g3}."));
        }
    }
}
