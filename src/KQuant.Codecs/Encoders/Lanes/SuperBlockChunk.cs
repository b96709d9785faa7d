namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>
/// As many super-blocks of a task as there are lanes, one in each. Where the task ends, the last one fills the lanes that are left. Some
/// sub-blocks are fitted together, for more lanes yet: the values of a <em>group</em> of them lie by index, then sub-block, then super-block.
/// </summary>
/// <typeparam name="T">Lanes of the super-blocks.</typeparam>
/// <typeparam name="TGroup">Lanes of a group, a multiple.</typeparam>
internal unsafe struct SuperBlockChunk<T, TGroup>
    where T : struct, ILanes<T>
    where TGroup : struct, ILanes<TGroup>
{
    /// <summary>Room for super-blocks.</summary>
    public const int MaxBlocks = 16;

    private const int Weights = 256;

    private fixed long _sources[MaxBlocks];
    private fixed long _importances[MaxBlocks];

    /// <summary>Sub-blocks of a group.</summary>
    public static int GroupWidth => TGroup.Count / T.Count;

    /// <summary>Takes super-blocks from a task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="first">The first of them.</param>
    /// <param name="count">Super-blocks that are there.</param>
    public void Take(in EncodeTask task, nint first, int count)
    {
        nint perRow = task.RowLength / Weights;
        for (int lane = 0; lane < T.Count; lane++)
        {
            nint block = first + Math.Min(lane, count - 1);
            _sources[lane] = (long)(task.Weights + (block * Weights));
            _importances[lane] = (long)(task.Importance + (block % perRow * Weights));
        }
    }

    /// <summary>The weights of one super-block, as they lie.</summary>
    public readonly float* Source(int lane) => (float*)_sources[lane];

    /// <summary>Brings the weights of a group into its lanes.</summary>
    public void LoadWeights(int group, int size, float* destination)
    {
        fixed (long* sources = _sources)
        {
            Load((float**)sources, group, size, destination);
        }
    }

    /// <summary>Brings the importance of a group into its lanes.</summary>
    public void LoadImportance(int group, int size, float* destination)
    {
        fixed (long* importances = _importances)
        {
            Load((float**)importances, group, size, destination);
        }
    }

    /// <summary>Sums of squares of whole super-blocks, in index order.</summary>
    /// <param name="x">All groups.</param>
    /// <param name="size">Values of a sub-block.</param>
    public static T SumOfSquares(float* x, int size)
    {
        T sum = T.Create(0);
        for (int group = 0; group < Weights / size / GroupWidth; group++)
        {
            for (int sub = 0; sub < GroupWidth; sub++)
            {
                float* values = x + ((nint)group * size * TGroup.Count) + (sub * T.Count);
                for (int i = 0; i < size; i++)
                {
                    T value = T.Load(values);
                    sum += value * value;
                    values += TGroup.Count;
                }
            }
        }

        return sum;
    }

    private static void Load(float** sources, int group, int size, float* destination)
    {
        for (int sub = 0; sub < GroupWidth; sub++)
        {
            LaneLayout.Transpose(
                sources, T.Count, ((group * GroupWidth) + sub) * size, size, destination + (sub * T.Count), TGroup.Count);
        }
    }
}
