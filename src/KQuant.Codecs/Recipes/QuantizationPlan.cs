using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>Which tensor of a model gets which codec, decided before anything is read.</summary>
public sealed class QuantizationPlan
{
    private QuantizationPlan(ModelSource source, QuantCodec codec, IReadOnlyList<PlannedTensor> tensors) =>
        (Source, Codec, Tensors) = (source, codec, tensors);

    /// <summary>The model that the plan was made for, which stays the caller's.</summary>
    public ModelSource Source { get; }

    /// <summary>The codec that the plan was made for.</summary>
    public QuantCodec Codec { get; }

    /// <summary>What a GGUF file of the plan says it is; null for what goes with <see cref="Codec"/>.</summary>
    public GgufFileType? FileType { get; private init; }

    /// <summary>All tensors in the order of the source.</summary>
    public IReadOnlyList<PlannedTensor> Tensors { get; }

    /// <summary>Bytes of all tensors before.</summary>
    public long SourceBytes => Tensors.Sum(tensor => tensor.Source.ByteCount);

    /// <summary>Bytes of all tensors after.</summary>
    public long TotalBytes => Tensors.Sum(tensor => tensor.ByteCount);

    /// <summary>
    /// A plan by a rule, which is asked about every tensor that can be decoded. What it has for a tensor is a wish: a block codec is only for
    /// matrices and stacks of experts, so norms, routers, convolutions, position embeddings, biases, vectors and the towers of multimodal
    /// models stay as they are all the same; and rows that are no whole blocks fall back as llama.cpp does.
    /// </summary>
    /// <param name="source">The model.</param>
    /// <param name="rule">
    /// The codec of a tensor with its role; null to keep its bytes, as does the float format that it has. A quantized weight that the rule
    /// has a codec for is decoded and encoded again.
    /// </param>
    /// <param name="codec">The codec that the plan is made for; null for the one that most weights of matrices get.</param>
    /// <returns>The plan.</returns>
    public static QuantizationPlan Create(
        ModelSource source, Func<ModelTensor, TensorRole, QuantCodec?> rule, QuantCodec? codec = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(rule);
        return Create(source, (tensor, role) => new TensorDecision(rule(tensor, role), FindReasonToStay(tensor, role)), codec);
    }

    /// <summary>The tensors of a model by a recipe.</summary>
    /// <param name="source">The model.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="options">What is to be otherwise; null for nothing.</param>
    /// <param name="model">What the lines ask about the model; null for what it says itself.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="ArgumentException">
    /// A pattern of the options is found in no tensor's name, or the recipe needs an importance matrix and there is none.
    /// </exception>
    /// <exception cref="System.Text.RegularExpressions.RegexMatchTimeoutException">A pattern takes too long.</exception>
    public static QuantizationPlan FromRecipe(
        ModelSource source, QuantizationRecipe recipe, RecipeOptions? options = null, RecipeModel? model = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(recipe);
        if (recipe.NeedsImportance && options is not { HasImportance: true })
        {
            throw new ArgumentException($"{recipe.Name} needs an importance matrix: with so few bits the result would be useless.", nameof(options));
        }

        var planner = new RecipePlanner(source.Tensors, recipe, model ?? RecipeModel.Of(source), options ?? new RecipeOptions());
        Dictionary<ModelTensor, TensorDecision> decisions = planner.Decide(source.Tensors);
        return planner.FindUnused() is string unused
            ? throw new ArgumentException($"'{unused}' is found in the name of no tensor.", nameof(options))
            : new QuantizationPlan(
                source, recipe.Codec, [.. source.Tensors.Select(tensor => Plan(tensor, TensorRoles.Classify(tensor.Name), decisions[tensor]))])
            {
                FileType = recipe.FileType,
            };
    }

    /// <summary>The same with other codecs for some tensors.</summary>
    /// <param name="choose">The codec of a tensor; null for the one that it has in this plan.</param>
    internal QuantizationPlan With(Func<PlannedTensor, QuantCodec?> choose)
    {
        PlannedTensor[] planned =
        [
            .. Tensors.Select(tensor => choose(tensor) is QuantCodec codec
                ? tensor with { Codec = codec, Requested = codec, Reason = PlanReason.Requested, Rule = $"{codec.Name} within the budget" }
                : tensor),
        ];
        return new QuantizationPlan(Source, FindMain(planned), planned);
    }

    /// <summary>A plan for other tensors than those of its source, such as some that were changed: codecs for some, whatever their roles; the rest stays.</summary>
    /// <param name="source">The model.</param>
    /// <param name="tensors">Its tensors, or others of the same names and shapes in their places.</param>
    /// <param name="rule">The codec of a tensor; null to keep its bytes.</param>
    internal static QuantizationPlan EncodeChanged(ModelSource source, IReadOnlyList<ModelTensor> tensors, Func<ModelTensor, QuantCodec?> rule)
    {
        QuantizationPlan plan = Create(source, tensors, (tensor, _) => new TensorDecision(rule(tensor), null), null);
        return new QuantizationPlan(source, plan.Codec, plan.Tensors)
        {
            FileType = source is GgufSource gguf && gguf.Metadata.TryGet("general.file_type", out uint type) ? (GgufFileType)type : null,
        };
    }

    /// <summary>As the public one, for other tensors than those of the source.</summary>
    /// <param name="source">The model.</param>
    /// <param name="tensors">Its tensors, or others of the same names and shapes in their places.</param>
    /// <param name="stored">The codec that a tensor has; null if it gets the new one whatever that is.</param>
    /// <param name="codec">The float format.</param>
    /// <param name="allFloats">Whether tensors that are floats in the model change too.</param>
    internal static QuantizationPlan DequantizeChanged(
        ModelSource source, IReadOnlyList<ModelTensor> tensors, Func<ModelTensor, QuantCodec?> stored, QuantCodec codec, bool allFloats) =>
        Create(source, tensors, (tensor, _) => new TensorDecision(allFloats ? codec : IfFloat(stored(tensor)) ?? codec, null), codec);

    private static QuantizationPlan Create(
        ModelSource source, Func<ModelTensor, TensorRole, TensorDecision> decide, QuantCodec? codec) => Create(source, source.Tensors, decide, codec);

    private static QuantizationPlan Create(
        ModelSource source, IReadOnlyList<ModelTensor> tensors, Func<ModelTensor, TensorRole, TensorDecision> decide, QuantCodec? codec)
    {
        PlannedTensor[] planned =
        [
            .. tensors.Select(tensor =>
            {
                TensorRole role = TensorRoles.Classify(tensor.Name);
                return Plan(tensor, role, tensor.Codec is null ? default : decide(tensor, role));
            }),
        ];
        return new QuantizationPlan(source, codec ?? FindMain(planned), planned);
    }

    /// <summary>
    /// One codec for every weight: all matrices and stacks of experts are quantized; norms, routers, convolutions, position embeddings,
    /// biases and vectors stay, and so does a vision or audio tower. Rows that are no whole blocks fall back as llama.cpp does.
    /// </summary>
    /// <param name="source">The model.</param>
    /// <param name="codec">A block codec, or a float format for the same weights.</param>
    /// <param name="requantize">Whether weights that are quantized already are decoded and encoded again.</param>
    /// <returns>The plan.</returns>
    public static QuantizationPlan Uniform(ModelSource source, QuantCodec codec, bool requantize = false)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return Create(
            source,
            (tensor, role) => FindReasonToStay(tensor, role) is null && (requantize || !tensor.Codec!.IsQuantized) ? codec : null,
            codec);
    }

    /// <summary>Everything stays in the format it has, as when a checkpoint only becomes another kind of file.</summary>
    /// <param name="source">The model.</param>
    /// <returns>The plan; its codec is the one that most weights of matrices have.</returns>
    public static QuantizationPlan Keep(ModelSource source) => Create(source, (tensor, _) => IfFloat(tensor.Codec));

    /// <summary>
    /// Floats again: every weight that is quantized is decoded into a float format. Tensors that are floats already keep theirs, or change
    /// to the new one as well.
    /// </summary>
    /// <param name="source">The model.</param>
    /// <param name="codec">f32, which holds every decoded weight exactly, or f16 or bf16.</param>
    /// <param name="allFloats">
    /// Whether tensors that are floats already change too, as fits a checkpoint, which has one type for all. In a GGUF norms stay f32.
    /// </param>
    /// <returns>The plan.</returns>
    /// <exception cref="ArgumentException"><paramref name="codec"/> is a block codec.</exception>
    public static QuantizationPlan Dequantize(ModelSource source, QuantCodec codec, bool allFloats = false)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return codec.IsQuantized
            ? throw new ArgumentException($"{codec.Name} is a block codec.", nameof(codec))
            : Create(source, (tensor, _) => allFloats ? codec : IfFloat(tensor.Codec) ?? codec, codec);
    }

    /// <summary>
    /// The codec for rows that <paramref name="codec"/> cannot divide into blocks, as llama.cpp chooses it: its
    /// <see cref="QuantCodec.Fallback"/>, and if that does not fit either, the fallback's, down to f16.
    /// </summary>
    /// <param name="codec">The codec asked for.</param>
    /// <param name="columns">Weights per row.</param>
    /// <returns>The codec itself when it fits.</returns>
    public static QuantCodec FitWidth(QuantCodec codec, long columns)
    {
        ArgumentNullException.ThrowIfNull(codec);
        while (columns % codec.WeightsPerBlock != 0)
        {
            codec = codec.Fallback;
        }

        return codec;
    }

    private static PlannedTensor Plan(ModelTensor tensor, TensorRole role, TensorDecision decision)
    {
        if (tensor.Codec is not QuantCodec stored)
        {
            return Kept(PlanReason.NotFloat);
        }

        QuantCodec? wanted = decision.Codec;
        if (wanted is { IsQuantized: false } && wanted == stored)
        {
            return Kept(PlanReason.AlreadyFloat, wanted);
        }

        if (wanted is null or { IsQuantized: true } && decision.Stays is PlanReason reason)
        {
            return Kept(reason, wanted);
        }

        if (wanted is null)
        {
            return Kept(stored.IsQuantized ? PlanReason.AlreadyQuantized : PlanReason.AlreadyFloat);
        }

        if (wanted.Mlx is not null && tensor.Shape[^1] % wanted.WeightsPerBlock != 0)
        {
            return Kept(PlanReason.Width, wanted);
        }

        QuantCodec fitting = wanted.IsQuantized ? FitWidth(wanted, tensor.Shape[^1]) : wanted;
        return new PlannedTensor
        {
            Source = tensor,
            Role = role,
            Codec = fitting,
            Reason = fitting == wanted ? PlanReason.Requested : PlanReason.WidthFallback,
            Requested = wanted,
            Rule = decision.Rule,
        };

        PlannedTensor Kept(PlanReason reason, QuantCodec? requested = null) =>
            new() { Source = tensor, Role = role, Reason = reason, Requested = requested };
    }

    private static QuantCodec? IfFloat(QuantCodec? codec) => codec is { IsQuantized: false } ? codec : null;

    private static QuantCodec FindMain(PlannedTensor[] tensors) => tensors
        .Where(tensor => tensor.Source.Codec is not null && tensor.Source.Shape.Length > 1)
        .GroupBy(tensor => tensor.Codec ?? tensor.Source.Codec!)
        .MaxBy(group => group.Sum(tensor => tensor.Source.GetWeightCount()))?.Key ?? QuantCodec.Get(QuantFormat.F32);

    /// <summary>Why a tensor is nothing to quantize, whatever format it has.</summary>
    internal static PlanReason? FindReasonToStay(ModelTensor tensor, TensorRole role) => role switch
    {
        _ when !tensor.Name.EndsWith(".weight", StringComparison.Ordinal) => PlanReason.NotAWeight,
        TensorRole.Norm or TensorRole.Router or TensorRole.Convolution => PlanReason.Role,
        TensorRole.PositionEmbedding or TensorRole.Tower => PlanReason.Role,
        _ when !IsMatrixOrStack(tensor.Shape.Length, role) => PlanReason.NotAMatrix,
        _ => null,
    };

    /// <summary>
    /// Three dimensions are a stack for experts and for the per-head matrices of low-rank attention, and something else elsewhere.
    /// </summary>
    private static bool IsMatrixOrStack(int dimensions, TensorRole role) =>
        dimensions == 2 || (dimensions == 3 && role is TensorRole.RoutedExpert or TensorRole.Attention);
}
