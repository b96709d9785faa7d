using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul;

/// <summary>How products are computed. Fixed when a <see cref="MatmulContext"/> is made.</summary>
/// <example>
/// <code>
/// var everywhere = new MatmulOptions { Deterministic = true };                  // the same bits on every machine
/// var exact = new MatmulOptions { Activations = ActivationPrecision.Float32 };   // activations are not rounded to eight bits
/// </code>
/// </example>
public sealed record MatmulOptions
{
    /// <summary>The environment variable that sets the default of <see cref="MaxDegreeOfParallelism"/>: <c>KQUANT_THREADS=4</c>.</summary>
    public const string ThreadsVariable = "KQUANT_THREADS";

    /// <summary>The most threads a context accepts.</summary>
    public const int ThreadLimit = 1024;

    private readonly KernelTier _maxTier = KernelTiers.Max;
    private readonly TimeSpan _spinBeforePark = TimeSpan.FromMicroseconds(200);

    /// <summary>
    /// The best instruction set that may be used. The default is <see cref="KernelTiers.Max"/>: the best there is, or what
    /// <c>KQUANT_MAX_TIER</c> says. Kernels of the best tier that the machine has and this allows are chosen.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to what is no tier.</exception>
    public KernelTier MaxTier
    {
        get => _maxTier;
        init
        {
            _maxTier = KernelTiers.IsDefined(value)
                ? value
                : throw new ArgumentOutOfRangeException(nameof(MaxTier), value, $"MaxTier is {value}, which is none of {string.Join(", ", KernelTiers.All.ToArray())}.");
        }
    }

    /// <summary>
    /// Threads that work on a product, the calling thread included: -1 for one per processor, a positive number for so many; 1 starts no
    /// thread. The default is -1, or what <c>KQUANT_THREADS</c> says.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to 0, less than -1 or more than <see cref="ThreadLimit"/>.</exception>
    public int MaxDegreeOfParallelism
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, ThreadLimit, nameof(MaxDegreeOfParallelism));
            field = Parallelism.Checked(value, nameof(MaxDegreeOfParallelism));
        }
    } = ParseThreads(Environment.GetEnvironmentVariable(ThreadsVariable));

    /// <summary>
    /// How long an idle worker thread spins before it lets the system put it to sleep. While it spins a product starts within a
    /// microsecond; waking it takes about 30 µs. The default, 200 µs, bridges what lies between two products of a model; zero suits
    /// programs that multiply now and then and share the machine.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to a negative time, or to more than a minute.</exception>
    internal TimeSpan SpinBeforePark
    {
        get => _spinBeforePark;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero, nameof(SpinBeforePark));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromMinutes(1), nameof(SpinBeforePark));
            _spinBeforePark = value;
        }
    }

    /// <summary>
    /// Whether results must have the same bits on every machine, tier, thread count and batch size. Off by default: then a row of results
    /// still depends on nothing but its own activations and the weights as long as the number of rows in the call stays the same, and
    /// kernels for few rows may add in another order. Products in float32 are always deterministic on processors with a fused multiply-add; without
    /// one (before AVX2, or with <c>DOTNET_EnableAVX2=0</c>) they round products before adding them, unless this is set, which then costs much time.
    /// </summary>
    public bool Deterministic { get; init; }

    /// <summary>What activations are turned into before they meet quantized weights. Weights in F32, F16 and BF16 always meet float32.</summary>
    public ActivationPrecision Activations { get; init; }

    internal static int ParseThreads(string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            return Parallelism.All;
        }

        return int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int threads) && threads is >= 1 and <= ThreadLimit
            ? threads
            : throw new ArgumentException($"{ThreadsVariable} is '{value}'; it must be a whole number from 1 to {ThreadLimit}.");
    }
}
