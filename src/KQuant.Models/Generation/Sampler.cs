using KQuant.Matmul.Vectors;
using KQuant.Models.Computing;

namespace KQuant.Models.Generation;

/// <summary>Chooses tokens. Keeps its memory: after the first token nothing is allocated. Used by one text at a time.</summary>
public sealed class Sampler
{
    private readonly SamplingOptions _options;
    private readonly Random _random;
    private float[] _logarithms = [];
    private float[] _keys = [];
    private int[] _candidates = [];
    private bool[] _isPenalized = [];

    /// <summary>Makes a sampler.</summary>
    /// <param name="options">How to choose.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public Sampler(SamplingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        _options = options;
        _random = options.Seed is int seed ? new Random(seed) : new Random();
    }

    /// <summary>
    /// Logarithms of the probabilities of the last call, after penalties and before tokens were excluded: one for each token.
    /// </summary>
    public ReadOnlySpan<float> LogProbabilities => _logarithms;

    /// <summary>Chooses the next token.</summary>
    /// <param name="logits">One per token of the vocabulary; changed by penalties.</param>
    /// <param name="history">The tokens so far, prompt included.</param>
    /// <returns>The token.</returns>
    /// <exception cref="ArithmeticException">A logit is not a number.</exception>
    public int Sample(Span<float> logits, ReadOnlySpan<int> history)
    {
        if (_logarithms.Length != logits.Length)
        {
            _logarithms = new float[logits.Length];
            _keys = new float[logits.Length];
            _candidates = new int[logits.Length];
            _isPenalized = new bool[_options.Penalizes ? logits.Length : 0];
        }

        Bias(logits);
        Penalize(logits, history);
        LogSoftmax.Compute(logits, _logarithms);
        int best = RowMath.IndexOfMax(_logarithms);
        if (!float.IsFinite(_logarithms[best]))
        {
            throw new ArithmeticException($"The logits of the model are not finite: token {best} has {logits[best]}.");
        }

        return _options.Temperature == 0 ? best : Draw(best);
    }

    private void Bias(Span<float> logits)
    {
        if (_options.LogitBias is null)
        {
            return;
        }

        foreach ((int token, float bias) in _options.LogitBias)
        {
            if (token >= 0 && token < logits.Length)
            {
                logits[token] += bias;
            }
        }
    }

    private void Penalize(Span<float> logits, ReadOnlySpan<int> history)
    {
        if (!_options.Penalizes)
        {
            return;
        }

        ReadOnlySpan<int> recent = history[Math.Max(0, history.Length - _options.PenaltyContext)..];
        foreach (int token in recent)
        {
            ref float logit = ref logits[token];
            if (!_isPenalized[token])
            {
                _isPenalized[token] = true;
                logit = logit < 0 ? logit * _options.RepetitionPenalty : logit / _options.RepetitionPenalty;
                logit -= _options.PresencePenalty;
            }
        }

        // After all repetition penalties, which scale what is there.
        foreach (int token in recent)
        {
            logits[token] -= _options.FrequencyPenalty;
            _isPenalized[token] = false;
        }
    }

    private int Draw(int best)
    {
        int count = Select(best);
        float top = _logarithms[best];
        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            float weight = MathF.Exp((_logarithms[_candidates[i]] - top) / _options.Temperature);
            _keys[i] = weight;
            sum += weight;
        }

        double left = _random.NextDouble() * sum;
        for (int i = 0; i < count; i++)
        {
            left -= _keys[i];
            if (left < 0)
            {
                return _candidates[i];
            }
        }

        return best;
    }

    /// <summary>Puts the tokens that may be drawn into the list of candidates, in ascending order.</summary>
    private int Select(int best)
    {
        float floor = float.NegativeInfinity;
        if (_options.TopP is > 0 and < 1)
        {
            floor = NucleusFloor();
        }

        if (_options.MinP > 0)
        {
            floor = Math.Max(floor, _logarithms[best] + MathF.Log(_options.MinP));
        }

        int count = 0;
        for (int token = 0; token < _logarithms.Length; token++)
        {
            if (_logarithms[token] >= floor)
            {
                _candidates[count++] = token;
            }
        }

        count = ExcludeTopChoices(count);
        return _options.TopK > 0 && _options.TopK < count ? KeepBest(count) : count;
    }

    /// <summary>
    /// The least log-probability in the nucleus: going up from the least likely token, the first at which more than <c>1 - p</c> has come
    /// together.
    /// </summary>
    private float NucleusFloor()
    {
        // Tokens below this cannot come to 1 - p together: only the others need to be sorted.
        float negligible = MathF.Log((1 - _options.TopP) / _logarithms.Length);
        double sum = 0;
        int count = 0;
        foreach (float logarithm in _logarithms)
        {
            if (logarithm < negligible)
            {
                sum += MathF.Exp(logarithm);
            }
            else
            {
                _keys[count++] = logarithm;
            }
        }

        Span<float> sorted = _keys.AsSpan(0, count);
        sorted.Sort();
        foreach (float logarithm in sorted)
        {
            sum += MathF.Exp(logarithm);
            if (sum > 1 - _options.TopP)
            {
                return logarithm;
            }
        }

        return sorted[^1];
    }

    private int ExcludeTopChoices(int count)
    {
        if (_options.XtcProbability == 0 || _random.NextDouble() > _options.XtcProbability)
        {
            return count;
        }

        float threshold = MathF.Log(_options.XtcThreshold);
        float least = float.PositiveInfinity;
        for (int i = 0; i < count; i++)
        {
            float logarithm = _logarithms[_candidates[i]];
            least = logarithm > threshold ? Math.Min(least, logarithm) : least;
        }

        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            int token = _candidates[i];
            if (_logarithms[token] <= least || _options.XtcExceptions.Contains(token))
            {
                _candidates[kept++] = token;
            }
        }

        return kept;
    }

    /// <summary>Keeps the best few; of equal ones the first.</summary>
    private int KeepBest(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _keys[i] = _logarithms[_candidates[i]];
        }

        Span<float> sorted = _keys.AsSpan(0, count);
        sorted.Sort();
        float floor = sorted[count - _options.TopK];
        int room = _options.TopK - (count - (sorted.LastIndexOf(floor) + 1));
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            float logarithm = _logarithms[_candidates[i]];
            if (logarithm > floor || (logarithm == floor && room-- > 0))
            {
                _candidates[kept++] = _candidates[i];
            }
        }

        return kept;
    }
}
