using KQuant.Matmul;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>What the layers know of the step that goes through them.</summary>
/// <param name="matmul">Threads and kernels.</param>
internal sealed class StepContext(MatmulContext matmul)
{
    private RowTarget[] _targets = [];

    /// <summary>Threads and kernels.</summary>
    public MatmulContext Matmul => matmul;

    /// <summary>Computes the products with weights.</summary>
    public required IModelProducts Products { get; set; }

    /// <summary>Measures attention; null for not at all.</summary>
    public AttentionClock? Clock { get; set; }

    /// <summary>Rows of the step.</summary>
    public int Rows { get; private set; }

    /// <summary>Which rows continue which text.</summary>
    public List<SequenceChunk> Chunks { get; private set; } = [];

    /// <summary>Where each row belongs.</summary>
    public RowTarget[] Targets => _targets;

    /// <summary>Ends it early.</summary>
    public CancellationToken Cancellation { get; private set; }

    /// <summary>Begins a step: the caches of its texts get room for it.</summary>
    public void Begin(ModelStep step, CancellationToken cancellation)
    {
        Rows = step.Tokens.Length;
        Chunks = step.Chunks;
        Cancellation = cancellation;
        Products.Forget();
        if (_targets.Length < Rows)
        {
            _targets = new RowTarget[Rows];
        }

        foreach (SequenceChunk chunk in Chunks)
        {
            chunk.Cache.Prepare(chunk.Count);
            for (int i = 0; i < chunk.Count; i++)
            {
                _targets[chunk.FirstRow + i] = new RowTarget(chunk.Cache, chunk.Cache.Length + i);
            }
        }
    }
}
