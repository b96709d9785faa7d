using KQuant.Codecs;
using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>
/// Everything that one product needs while it runs: lists, quantized activations, the calling thread's scratch. A context keeps them and
/// gives each call one of its own.
/// </summary>
internal sealed unsafe class Workspace : IDisposable
{
    private readonly WorkTeam _team;
    private readonly QuantizeWork _quantize = new();
    private readonly IntegerWork _integer = new();
    private readonly WidenWork _widen = new();
    private readonly FloatWork _float = new();
    private readonly TransposedWork _transposed = new();
    private readonly UntransformWork _untransform = new();
    private readonly CopyWork _copy = new();
    private readonly ScatterWork _scatter = new();
    private readonly LookupWork _lookup = new();
    private readonly PackWeightsWork _packWeights = new();
    private readonly CallerWork _caller = new();
    private readonly DotWork _dot;

    public Workspace(WorkerPool pool, KernelSet kernels)
    {
        _team = new WorkTeam(pool, kernels);
        _dot = new DotWork(_float);
    }

    /// <summary>What activations are turned into; set whenever the workspace is lent.</summary>
    public ActivationPrecision Activations { get; set; }

    /// <summary>Which rows meet which matrix; set before a product is run.</summary>
    public RowPlan Plan { get; } = new();

    /// <summary>Indices; set before a gather is run.</summary>
    public GatherPairs Pairs { get; } = new();

    /// <summary>A product for every pair.</summary>
    /// <param name="kind">Which product.</param>
    /// <param name="weights">The matrices.</param>
    /// <param name="x">The items, so many rows each.</param>
    /// <param name="rowsPerItem">Rows of an item.</param>
    /// <param name="sorted">Whether the matrices of the pairs ascend.</param>
    /// <param name="y">The results: so many rows per pair.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Gather(
        ProductKind kind, in WeightStack weights, in RowSource x, int rowsPerItem, bool sorted, float* y, CancellationToken cancellation)
    {
        Plan.SetGather(Pairs, rowsPerItem, sorted, y, kind == ProductKind.Transposed ? weights.Columns : weights.Rows);
        Run(kind, weights, x, cancellation);
    }

    /// <summary>A product for every pair, with rows of its own, added up over the pairs of an item.</summary>
    /// <param name="kind">Which product.</param>
    /// <param name="weights">The matrices.</param>
    /// <param name="dy">So many rows per pair.</param>
    /// <param name="rowsPerItem">Rows of an item.</param>
    /// <param name="sorted">Whether the matrices of the pairs ascend.</param>
    /// <param name="dx">The items.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void GatherGradient(
        ProductKind kind, in WeightStack weights, in RowSource dy, int rowsPerItem, bool sorted, float* dx, CancellationToken cancellation)
    {
        Plan.SetEntries(Pairs, rowsPerItem, sorted);
        _scatter.Redirect(Plan, Pairs, rowsPerItem, dx, kind == ProductKind.Transposed ? weights.Columns : weights.Rows);
        Run(kind, weights, dy, cancellation);
        _scatter.Run(_team, cancellation);
    }

    /// <summary>The product of a kind, for every group of the plan.</summary>
    public void Run(ProductKind kind, in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        switch (kind)
        {
            case ProductKind.Forward: Multiply(weights, x, cancellation); break;
            case ProductKind.ForwardInFloat: MultiplyInFloat(weights, x, cancellation); break;
            default: MultiplyTransposed(weights, x, cancellation); break;
        }
    }

    /// <summary>Decodes rows of a matrix.</summary>
    public void Lookup(in WeightStack weights, int* rows, int count, float* output, CancellationToken cancellation) =>
        _lookup.Run(weights, rows, count, output, _team, cancellation);

    /// <summary>Single rows of a matrix times the one activation row of the plan.</summary>
    public void Dot(in WeightStack weights, in RowSource x, long* rows, int count, float* scores, CancellationToken cancellation)
    {
        if (Activations == ActivationPrecision.Float32 || weights.Codec.Integers is not IntegerForm form)
        {
            _widen.Run(x, Plan, needsPadding: true, weights.Transform, _team, cancellation);
            _float.Prepare(weights, _widen.Rows, Plan, _team);
            _dot.RunInFloat(weights, rows, count, scores, _team, cancellation);
            return;
        }

        _quantize.Run(x, Plan, form.Scheme, weights.Transform, _team, cancellation);
        _dot.Run(weights, _quantize.View, rows, count, scores, _team, cancellation);
    }

    /// <summary>Arranges weights for their packed kernel.</summary>
    public void Pack(in WeightStack weights, PackedWeights packed, CancellationToken cancellation) =>
        _packWeights.Run(weights, packed, _team, cancellation);

    /// <summary>Runs work that a caller brings.</summary>
    public void Run(IParallelWork work, int pieces, int scratchLength, bool wake, CancellationToken cancellation) =>
        _caller.Run(work, pieces, scratchLength, wake, _team, cancellation);

    public void Dispose()
    {
        _team.Dispose();
        _quantize.Dispose();
        _integer.Dispose();
        _widen.Dispose();
        _float.Dispose();
        _transposed.Dispose();
        Plan.Dispose();
        Pairs.Dispose();
        _scatter.Dispose();
        _dot.Dispose();
    }

    private void Multiply(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        if (Activations == ActivationPrecision.Float32 || weights.Codec.Integers is not IntegerForm form)
        {
            MultiplyInFloat(weights, x, cancellation);
            return;
        }

        _quantize.Run(x, Plan, form.Scheme, weights.Transform, _team, cancellation);
        _integer.Run(weights, _quantize.View, Plan, _team, cancellation);
        _copy.Run(Plan, weights.Rows, _team, cancellation);
    }

    private void MultiplyInFloat(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        _widen.Run(x, Plan, needsPadding: true, weights.Transform, _team, cancellation);
        _float.Run(weights, _widen.Rows, Plan, _team, cancellation);
        _copy.Run(Plan, weights.Rows, _team, cancellation);
    }

    private void MultiplyTransposed(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        _widen.Run(x, Plan, needsPadding: false, transform: null, _team, cancellation);
        _transposed.Run(weights, _widen.Rows, Plan, _team, cancellation);
        if (weights.Transform is not null)
        {
            _untransform.Run(weights.Transform, Plan, weights.Columns, _team, cancellation);
        }

        _copy.Run(Plan, weights.Columns, _team, cancellation);
    }
}
