using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// The codecs that make a model as good as possible within a number of bytes. Each tensor is encoded with each candidate to see what that
/// does to its outputs; what an error there costs the model is measured by a calibration (<see cref="ImportanceEntry.LossPerError"/>) or,
/// without one, guessed from the role. Then the losses, which add up, are made as small as the bytes allow.
/// </summary>
public sealed class QuantizationBudget
{
    private static readonly QuantFormat[] Suiting =
    [
        QuantFormat.Q2_K, QuantFormat.Q3_K, QuantFormat.Q4_K, QuantFormat.Q5_K, QuantFormat.Q6_K, QuantFormat.Q8_0, QuantFormat.IQ4_NL,
        QuantFormat.Q5_0, QuantFormat.Q5_1, QuantFormat.Q4_1,
    ];

    private QuantizationBudget(QuantizationPlan plan, IReadOnlyList<BudgetChoice> choices, IReadOnlyList<BudgetPoint> curve, long bytes)
    {
        Plan = plan;
        Choices = choices;
        Curve = curve;
        Bytes = bytes;
    }

    /// <summary>The plan.</summary>
    public QuantizationPlan Plan { get; }

    /// <summary>The tensors that the budget decided about.</summary>
    public IReadOnlyList<BudgetChoice> Choices { get; }

    /// <summary>What other sizes would be predicted to cost, from the smallest to the largest.</summary>
    public IReadOnlyList<BudgetPoint> Curve { get; }

    /// <summary>Bytes of the whole, as the target counts them.</summary>
    public long Bytes { get; }

    /// <summary>Makes a plan.</summary>
    /// <param name="source">A model as for <see cref="ModelConverter.Convert"/>.</param>
    /// <param name="options">The target, and what is fixed.</param>
    /// <param name="conversion">As the plan will be carried out: mode, importance, threads.</param>
    /// <param name="progress">Told after every tensor.</param>
    /// <param name="cancellationToken">Cancels within a fraction of a second.</param>
    /// <returns>The plan, and what it is predicted to cost.</returns>
    /// <exception cref="ArgumentException">No choice is small enough; the message says the smallest. Or a pattern finds no tensor.</exception>
    /// <exception cref="NotSupportedException">The source is another kind of model.</exception>
    public static QuantizationBudget Solve(
        ModelSource source,
        BudgetOptions options,
        ConversionOptions? conversion = null,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(options);
        conversion ??= new ConversionOptions();
        QuantCodec[] candidates = options.Candidates.Count > 0 ? [.. options.Candidates] : [.. Suiting.Select(QuantCodec.Get)];
        QuantCodec smallest = candidates.MinBy(codec => codec.BitsPerWeight)!;
        QuantizationPlan floor = QuantizationPlan.FromRecipe(source, QuantizationRecipe.Uniform(smallest), options.Fixed);
        PlannedTensor[] free = [.. floor.Tensors.Where(tensor => tensor.Codec is { IsQuantized: true } && tensor.Rule is null)];
        bool isTied = !source.Tensors.Any(tensor => TensorKindNames.Classify(tensor.Name, TensorRoles.Classify(tensor.Name)) == TensorKinds.Output);
        long alignment = source is GgufSource gguf ? gguf.Metadata.Alignment : 1;
        // Headers and everything that is not decided here.
        long rest = MeasureWhole(source, floor, conversion) - free.Sum(tensor => Align(tensor.ByteCount, alignment));
        long smallestBytes = rest + free.Sum(tensor => Fitting(tensor, candidates).Min(codec => BytesIn(tensor, codec)));
        if (smallestBytes > options.TargetBytes)
        {
            throw new ArgumentException(
                $"A target of {options.TargetBytes} bytes cannot be met: the smallest choice takes {smallestBytes} bytes.", nameof(options));
        }

        var groups = new List<BudgetGroup>();
        long done = 0, total = free.Sum(tensor => tensor.Source.ByteCount);
        foreach (PlannedTensor tensor in free)
        {
            groups.Add(Measure(tensor, candidates, options, conversion, isTied, cancellationToken));
            done += tensor.Source.ByteCount;
            progress?.Report(new ModelProgress
            {
                TensorName = tensor.Source.Name,
                TensorIndex = groups.Count - 1,
                TensorCount = free.Length,
                BytesDone = done,
                TotalBytes = total,
            });
        }

        var solver = new BudgetSolver(groups);
        int[] chosen = solver.Solve(options.TargetBytes - rest)!;
        var decisions = new Dictionary<ModelTensor, BudgetItem>(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < groups.Count; i++)
        {
            decisions[free[i].Source] = groups[i].Items[chosen[i]];
        }

        QuantizationPlan plan = floor.With(tensor => decisions.TryGetValue(tensor.Source, out BudgetItem item) ? item.Codec : null);
        BudgetChoice[] choices =
        [
            .. plan.Tensors.Where(tensor => decisions.ContainsKey(tensor.Source))
                .Select(tensor => new BudgetChoice { Planned = tensor, Error = decisions[tensor.Source].Error, Loss = decisions[tensor.Source].Loss }),
        ];
        return new QuantizationBudget(
            plan, choices, [.. solver.Curve().Select(point => point with { Bytes = point.Bytes + rest })], rest + solver.BytesOf(chosen));

        long BytesIn(PlannedTensor tensor, QuantCodec codec) => Align(codec.GetByteCount(tensor.Source.GetWeightCount()), alignment);

        BudgetGroup Measure(
            PlannedTensor tensor, QuantCodec[] all, BudgetOptions settings, ConversionOptions how, bool tied, CancellationToken cancellation)
        {
            QuantCodec[] fitting = Fitting(tensor, all);
            ImportanceEntry? entry = how.Importance is not null && how.Importance.TryGet(tensor.Source.Name, out ImportanceEntry? found) ? found : null;
            var errors = new CandidateErrors(tensor.Source, fitting, entry, how.Mode, settings.SampleWeights);
            errors.Run(how.MaxDegreeOfParallelism, cancellation);
            double perError = entry?.LossPerError ?? (errors.Signal > 0 ? Prior(tensor, tied) / errors.Signal : 0);
            return new BudgetGroup(
            [
                .. fitting.Select((codec, i) => new BudgetItem(
                    codec,
                    BytesIn(tensor, codec),
                    errors.Signal > 0 ? errors.Errors[i] / errors.Signal : 0,
                    perError * errors.Errors[i])),
            ]);
        }
    }

    /// <summary>The candidates whose blocks divide the rows of a tensor; what replaces the smallest one if none does.</summary>
    private static QuantCodec[] Fitting(PlannedTensor tensor, QuantCodec[] candidates)
    {
        QuantCodec[] fitting = [.. candidates.Where(codec => tensor.Source.Shape[^1] % codec.WeightsPerBlock == 0)];
        return fitting.Length > 0 ? fitting : [tensor.Codec!];
    }

    /// <summary>
    /// What a relative error of a weight's outputs costs, where nobody has measured it: about what calibrations of small models found.
    /// </summary>
    private static double Prior(PlannedTensor tensor, bool isTied) => TensorKindNames.Classify(tensor.Source.Name, tensor.Role) switch
    {
        TensorKinds.Output => 2,
        TensorKinds.Embedding => isTied ? 3 : 1,
        TensorKinds.Value or TensorKinds.FusedQkv or TensorKinds.LatentKeyValue => 0.5,
        TensorKinds.DenseDown or TensorKinds.RoutedDown or TensorKinds.SharedDown => 0.4,
        TensorKinds.Query or TensorKinds.Key => 0.15,
        _ => 0.3,
    };

    private static long Align(long bytes, long alignment) => (bytes + alignment - 1) / alignment * alignment;

    /// <summary>Bytes of the whole: exactly for a GGUF; of a checkpoint all tensors and what their entries in headers take at most.</summary>
    private static long MeasureWhole(ModelSource source, QuantizationPlan plan, ConversionOptions conversion)
    {
        const int HeaderEntry = 256;
        return source is GgufSource gguf
            ? GgufConversion.MeasureLength(gguf, plan, conversion)
            : plan.TotalBytes + plan.Tensors.Sum(tensor => HeaderEntry + (2L * tensor.Source.Name.Length));
    }
}
