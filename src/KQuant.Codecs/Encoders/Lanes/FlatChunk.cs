namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>
/// As many blocks of 32 weights of a task as there are lanes, one in each. Where the task ends, the last one fills the lanes that are left.
/// </summary>
internal unsafe struct FlatChunk<T>
    where T : struct, ILanes<T>
{
    /// <summary>Weights of a block.</summary>
    public const int Size = 32;

    /// <summary>Most lanes: two vectors of 512 bits.</summary>
    private const int MaxLanes = 32;

    private fixed long _sources[MaxLanes];
    private fixed long _importances[MaxLanes];

    /// <summary>Blocks of a task.</summary>
    public static nint CountBlocks(in EncodeTask task) => task.RowLength / Size * (nint)task.Rows;

    /// <summary>Takes blocks from a task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="first">The first of them.</param>
    /// <param name="count">Blocks that are there.</param>
    /// <param name="x">Receives their weights.</param>
    public void Take(in EncodeTask task, nint first, int count, float* x)
    {
        fixed (long* sources = _sources)
        {
            for (int lane = 0; lane < T.Count; lane++)
            {
                sources[lane] = (long)(task.Weights + ((first + Math.Min(lane, count - 1)) * Size));
            }

            LaneLayout.Transpose((float**)sources, T.Count, 0, Size, x, T.Count);
        }
    }

    /// <summary>The weights of one block, as they lie.</summary>
    public readonly float* Source(int lane) => (float*)_sources[lane];

    /// <summary>Weights for errors: importance times what <see cref="ErrorWeights.FromImportance"/> makes of the power of the row.</summary>
    /// <param name="task">The task.</param>
    /// <param name="first">The first block.</param>
    /// <param name="count">Blocks that are there.</param>
    /// <param name="powers">Mean squares of the rows.</param>
    /// <param name="x">The weights of the blocks.</param>
    /// <param name="weights">Receives the weights for errors.</param>
    public void Weigh(in EncodeTask task, nint first, int count, float* powers, float* x, float* weights)
    {
        float* power = stackalloc float[MaxLanes];
        nint perRow = task.RowLength / Size;
        fixed (long* importances = _importances)
        {
            for (int lane = 0; lane < T.Count; lane++)
            {
                (nint row, nint column) = Math.DivRem(first + Math.Min(lane, count - 1), perRow);
                power[lane] = powers[row];
                importances[lane] = (long)(task.Importance + (column * Size));
            }

            LaneLayout.Transpose((float**)importances, T.Count, 0, Size, weights, T.Count);
        }

        LaneWeights.FromImportance(x, Size, T.Load(power), weights);
    }
}
