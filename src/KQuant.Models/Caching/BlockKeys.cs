using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>
/// Keys as the blocks of a codec, in rows, [head][slot][block]. Queries become int8, as activations do for a product with weights, and meet
/// the codes as they are: to the kernels of products, keys are the rows of a weight.
/// </summary>
internal sealed unsafe class BlockKeys : KeyStore
{
    /// <summary>Rows of queries that are multiplied at once at most.</summary>
    private const int RowsAtOnce = 8;

    private const int Alignment = 64;

    private readonly BlockCoding _coding;
    private readonly SlotMemory _memory;
    private readonly ProductKernel _kernel;
    private readonly int _units;
    private readonly int _rowsAtOnce;

    /// <param name="heads">Key heads.</param>
    /// <param name="coding">How a key becomes blocks.</param>
    public BlockKeys(int heads, BlockCoding coding)
        : this(heads, coding, new SlotMemory(heads, coding.RowBytes))
    {
    }

    private BlockKeys(int heads, BlockCoding coding, SlotMemory memory)
        : base(heads, coding.HeadSize)
    {
        (_coding, _memory, _kernel) = (coding, memory, coding.Products);
        _units = (coding.HeadSize + 255) / 256;
        _rowsAtOnce = Math.Min(RowsAtOnce, _kernel.MaxRows);
    }

    public override SlotMemory Memory => _memory;

    public override int ScratchLength => Math.Max(base.ScratchLength, (int)((new Layout(null, this).End - (byte*)null) / sizeof(float)) + (Alignment / sizeof(float)));

    public override void Store(int head, int slot, float* key) => _coding.Encode(key, _memory.Get(head, slot));

    public override void Score(
        AttentionKernel kernel, int head, SlotRange range, float* queries, int rows, float* scores, nint stride, float* scratch)
    {
        var areas = new Layout((byte*)(((nint)scratch + Alignment - 1) & -Alignment), this);
        int keys = range.End - range.Start;
        for (int first = 0; first < rows; first += _rowsAtOnce)
        {
            int count = Math.Min(_rowsAtOnce, rows - first);
            for (int row = 0; row < count; row++)
            {
                _coding.Quantizer.Quantize(queries + ((nint)(first + row) * HeadSize), HeadSize, areas.View, row);
                areas.View.Sizes[row] = HugeRows.Reduce(areas.View, row);
                areas.Outputs[row] = scores + ((first + row) * stride);
            }

            _kernel.Arrange(areas.View, null, count, areas.Arranged);
            var task = new ProductTask
            {
                Weights = _memory.Get(head, range.Start),
                WeightRowBytes = _coding.RowBytes,
                WeightRows = keys,
                Units = _units,
                TailBlocks = (HeadSize - (256 * (_units - 1))) / _coding.Codec.WeightsPerBlock,
                Activations = areas.Arranged,
                Rows = count,
                Outputs = areas.Outputs,
            };
            _kernel.Run(task, areas.Work);
            for (int row = 0; row < count; row++)
            {
                HugeRows.Restore(areas.Outputs[row], keys, areas.View.Sizes[row]);
            }
        }

        GC.KeepAlive(_memory);
    }

    public override CacheSpan Read(int head, int block, int count, float* scratch)
    {
        float* key = stackalloc float[HeadSize];
        for (int slot = 0; slot < count * BlockSize; slot++)
        {
            _coding.Decode(_memory.Get(head, (block * BlockSize) + slot), 1, key, HeadSize);
            float* lane = scratch + ((nint)(slot / BlockSize) * HeadSize * BlockSize) + (slot % BlockSize);
            for (int i = 0; i < HeadSize; i++)
            {
                lane[i * BlockSize] = key[i];
            }
        }

        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override KeyStore Fork(int slots) => new BlockKeys(Heads, _coding, _memory.Fork(slots));

    /// <summary>How the scratch memory of <see cref="Score"/> is divided.</summary>
    private readonly ref struct Layout
    {
        /// <summary>Quantized queries.</summary>
        public readonly ActivationView View;

        /// <summary>Where the scores of each query go.</summary>
        public readonly float** Outputs;

        /// <summary>Queries as the kernel wants them.</summary>
        public readonly byte* Arranged;

        /// <summary>The kernel's own.</summary>
        public readonly byte* Work;

        /// <summary>One behind all of it.</summary>
        public readonly byte* End;

        public Layout(byte* start, BlockKeys keys)
        {
            nint rows = keys._rowsAtOnce;
            View = new ActivationView { CodeStride = 256 * keys._units, Units = keys._units, Scheme = keys._kernel.Scheme };
            View.Codes = (sbyte*)start;
            View.Scales = (float*)Behind(start, rows * View.CodeStride);
            View.Sums = (short*)Behind((byte*)View.Scales, sizeof(float) * rows * View.Units * View.ScalesPerUnit);
            View.Sizes = (float*)Behind((byte*)View.Sums, sizeof(short) * rows * View.Units * View.SumsPerUnit);
            Outputs = (float**)Behind((byte*)View.Sizes, sizeof(float) * rows);
            Arranged = Behind((byte*)Outputs, sizeof(float*) * rows);
            Work = Behind(Arranged, keys._kernel.GetActivationBytes((int)rows, keys._units));
            End = Behind(Work, keys._kernel.GetScratchBytes(keys._units));
        }

        private static byte* Behind(byte* start, nint bytes) => start + ((bytes + Alignment - 1) & -Alignment);
    }
}
