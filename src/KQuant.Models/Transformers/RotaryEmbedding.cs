using System.Numerics;
using System.Runtime.CompilerServices;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// Rotary position embeddings (Su et al. 2021): pairs of values turn by an angle that grows with the position. Frequencies as in Hugging
/// Face's <c>modeling_rope_utils</c>, in float32.
/// </summary>
internal sealed unsafe class RotaryEmbedding : IDisposable
{
    private readonly RopeConfig _config;
    private readonly bool _interleaved;
    private readonly int _context;
    private readonly float[] _frequencies;
    private readonly NativeBuffer<float> _table = new();
    private int _frequencyLength = -1;

    /// <param name="config">The frequencies.</param>
    /// <param name="interleaved">Whether neighbours are rotated together.</param>
    /// <param name="context">Tokens that were asked for.</param>
    public RotaryEmbedding(RopeConfig config, bool interleaved, int context)
    {
        _config = config;
        _interleaved = interleaved;
        _context = context;
        _frequencies = new float[config.Dimensions / 2];
    }

    /// <summary>Values of a head that are rotated.</summary>
    public int Dimensions => 2 * Half;

    /// <summary>Whether neighbours are rotated together.</summary>
    public bool IsInterleaved => _interleaved;

    private int Half => _frequencies.Length;

    /// <summary>The frequencies for a text of so many tokens.</summary>
    public static float[] GetFrequencies(RopeConfig config, int length, int context)
    {
        var frequencies = new float[config.Dimensions / 2];
        Fill(config, length, context, frequencies);
        return frequencies;
    }

    /// <summary>Makes room for so many rows; what was computed is lost.</summary>
    public void Reserve(int rows) => _table.Reserve((long)rows * 2 * Half);

    /// <summary>Computes cosines and sines for consecutive rows of one text.</summary>
    /// <param name="firstRow">The first row.</param>
    /// <param name="position">Its position; those of the others follow.</param>
    /// <param name="count">Rows.</param>
    public void Prepare(int firstRow, int position, int count)
    {
        // The length of the text with these rows, whatever else is in the step.
        int length = position + count;
        int key = LengthThatMatters(length);
        if (key != _frequencyLength)
        {
            Fill(_config, length, _context, _frequencies);
            _frequencyLength = key;
        }

        for (int row = 0; row < count; row++)
        {
            float* cosines = _table.Pointer + ((long)(firstRow + row) * 2 * Half);
            for (int i = 0; i < Half; i++)
            {
                (float sine, float cosine) = MathF.SinCos((position + row) * _frequencies[i]);
                cosines[i] = cosine * _config.AttentionFactor;
                cosines[Half + i] = sine * _config.AttentionFactor;
            }
        }
    }

    /// <summary>The cosines and sines of the first rows, [rows][2][<see cref="Dimensions"/> / 2].</summary>
    public ReadOnlySpan<float> GetTable(int rows) => new(_table.Pointer, rows * 2 * Half);

    /// <summary>Rotates one head of one row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Rotate(int row, float* head)
    {
        float* cosines = _table.Pointer + ((long)row * 2 * Half);
        float* sines = cosines + Half;
        if (_interleaved)
        {
            for (int i = 0; i < Half; i++)
            {
                (float a, float b) = (head[2 * i], head[(2 * i) + 1]);
                head[2 * i] = (a * cosines[i]) - (b * sines[i]);
                head[(2 * i) + 1] = (b * cosines[i]) + (a * sines[i]);
            }

            return;
        }

        float* upper = head + Half;
        int j = 0;
        for (; j <= Half - Vector<float>.Count; j += Vector<float>.Count)
        {
            Vector<float> a = Vector.Load(head + j);
            Vector<float> b = Vector.Load(upper + j);
            Vector<float> cosine = Vector.Load(cosines + j);
            Vector<float> sine = Vector.Load(sines + j);
            ((a * cosine) - (b * sine)).Store(head + j);
            ((b * cosine) + (a * sine)).Store(upper + j);
        }

        for (; j < Half; j++)
        {
            (float a, float b) = (head[j], upper[j]);
            head[j] = (a * cosines[j]) - (b * sines[j]);
            upper[j] = (b * cosines[j]) + (a * sines[j]);
        }
    }

    public void Dispose() => _table.Dispose();

    // Frequencies change with the length of the text for two kinds only.
    private int LengthThatMatters(int length) => _config.Kind switch
    {
        RopeKind.Dynamic => Math.Max(length, _config.OriginalContext),
        RopeKind.LongRope => IsLong(_config, length, _context) ? 1 : 0,
        _ => 0,
    };

    private static bool IsLong(RopeConfig config, int length, int context) =>
        (config.SwitchesByContext ? context : length) > config.OriginalContext;

    private static void Fill(RopeConfig config, int length, int context, Span<float> frequencies)
    {
        float theta = config.Theta;
        int dimensions = config.Dimensions;
        if (config.Kind == RopeKind.Dynamic)
        {
            float longest = Math.Max(length, config.OriginalContext);
            float stretch = (config.Factor * longest / config.OriginalContext) - (config.Factor - 1);
            theta *= MathF.Pow(stretch, dimensions / (float)(dimensions - 2));
        }

        for (int i = 0; i < frequencies.Length; i++)
        {
            float plain = 1 / MathF.Pow(theta, 2 * i / (float)dimensions);
            frequencies[i] = config.Kind switch
            {
                RopeKind.Linear => plain / config.Factor,
                RopeKind.Llama3 => Llama3(config, plain),
                RopeKind.Yarn => Yarn(config, plain, i),
                RopeKind.LongRope => plain / (IsLong(config, length, context) ? config.LongDivisors : config.ShortDivisors)[i],
                RopeKind.Divisors => plain / (config.ShortDivisors[i] * config.Factor),
                _ => plain,
            };
        }
    }

    private static float Llama3(RopeConfig config, float plain)
    {
        float wavelength = 2 * MathF.PI / plain;
        if (wavelength > config.OriginalContext / config.LowFrequencyFactor)
        {
            return plain / config.Factor;
        }

        if (wavelength < config.OriginalContext / config.HighFrequencyFactor)
        {
            return plain;
        }

        float smooth = ((config.OriginalContext / wavelength) - config.LowFrequencyFactor)
            / (config.HighFrequencyFactor - config.LowFrequencyFactor);
        return ((1 - smooth) * plain / config.Factor) + (smooth * plain);
    }

    private static float Yarn(RopeConfig config, float plain, int i)
    {
        float low = Dimension(config, config.BetaFast);
        float high = Dimension(config, config.BetaSlow);
        if (config.Truncate)
        {
            low = MathF.Floor(low);
            high = MathF.Ceiling(high);
        }

        low = Math.Max(low, 0);
        high = Math.Min(high, config.Dimensions - 1);
        float ramp = Math.Clamp((i - low) / (high == low ? 0.001f : high - low), 0, 1);
        return (plain / config.Factor * ramp) + (plain * (1 - ramp));
    }

    /// <summary>The dimension that makes so many rotations over the original context.</summary>
    private static float Dimension(RopeConfig config, float rotations) =>
        config.Dimensions * MathF.Log(config.OriginalContext / (rotations * 2 * MathF.PI)) / (2 * MathF.Log(config.Theta));
}
