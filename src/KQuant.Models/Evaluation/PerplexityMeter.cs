using System.Numerics.Tensors;
using KQuant.Models.Computing;

namespace KQuant.Models.Evaluation;

/// <summary>
/// Measures how well a model predicts a text: perplexity, and how far its distributions are from another model's.
/// </summary>
public static class PerplexityMeter
{
    /// <summary>Bytes of logits that are held for each model at once.</summary>
    private const long LogitBytes = 64 << 20;

    /// <summary>
    /// Measures. Window w begins at token <c>w * stride</c>, at position 0 and without context from the window before it; it predicts the
    /// tokens that follow its own. What is left over at the end of the text is not measured.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">The text; more than a window of it.</param>
    /// <param name="options">How; null for windows of 256 that do not overlap.</param>
    /// <param name="progress">Told after every window.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="ArgumentException">
    /// The text is shorter than a window, the window longer than the context, the stride longer than the window, or the vocabularies of the
    /// models differ.
    /// </exception>
    /// <example>
    /// <code>
    /// int[] tokens = model.Tokenizer.Encode(File.ReadAllText("text.txt"));
    /// PerplexityResult result = PerplexityMeter.Measure(model, tokens, new PerplexityOptions { WindowLength = 128, MaxWindows = 2 });
    /// Console.WriteLine($"{result.Perplexity:F2} over {result.Tokens} tokens");
    /// </code>
    /// </example>
    public static PerplexityResult Measure(
        LanguageModel model,
        ReadOnlySpan<int> tokens,
        PerplexityOptions? options = null,
        IProgress<PerplexityProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new PerplexityOptions();
        int length = options.WindowLength;
        int stride = options.Stride == 0 ? length : options.Stride;
        Check(model, options, stride);
        int windows = tokens.Length <= length ? 0 : ((tokens.Length - 1 - length) / stride) + 1;
        if (options.MaxWindows > 0)
        {
            windows = Math.Min(windows, options.MaxWindows);
        }

        if (windows == 0)
        {
            throw new ArgumentException($"The text has {tokens.Length} tokens; a window of {length} needs one more than that.", nameof(tokens));
        }

        using var subject = new Subject(model, length);
        using Subject? reference = options.Against is null ? null : new Subject(options.Against, length);
        var losses = new Sums();
        var comparison = new ComparisonSums();
        var text = new int[length + 1];
        for (int window = 0; window < windows; window++)
        {
            int first = window == 0 ? 0 : length - stride;
            tokens.Slice(window * stride, length + 1).CopyTo(text);
            text[0] = options.FirstToken ?? text[0];
            Measure(subject, reference, text, first, losses, comparison, cancellationToken);
            progress?.Report(new PerplexityProgress
            {
                Windows = window + 1,
                TotalWindows = windows,
                Tokens = losses.Count,
                Perplexity = Math.Exp(losses.Mean),
            });
        }

        return new PerplexityResult
        {
            Windows = windows,
            Tokens = losses.Count,
            MeanLoss = losses.Mean,
            StandardError = losses.StandardError,
            Comparison = reference is null ? null : comparison.ToResult(),
        };
    }

    private static void Check(LanguageModel model, PerplexityOptions options, int stride)
    {
        foreach (LanguageModel checkedModel in new[] { model, options.Against }.OfType<LanguageModel>())
        {
            if (options.WindowLength < 1 || options.WindowLength > checkedModel.ContextLength)
            {
                throw new ArgumentException(
                    $"A window of {options.WindowLength} tokens does not fit into the context of {checkedModel.ContextLength} of {checkedModel.Path}.",
                    nameof(options));
            }
        }

        if (stride < 1 || stride > options.WindowLength)
        {
            throw new ArgumentException($"The stride is {stride}; it is a number from 1 to the window of {options.WindowLength}.", nameof(options));
        }

        if (options.Against is { } against && against.Config.VocabularySize != model.Config.VocabularySize)
        {
            throw new ArgumentException(
                $"The vocabularies differ: {model.Config.VocabularySize} tokens in {model.Path}, {against.Config.VocabularySize} in {against.Path}.",
                nameof(options));
        }
    }

    private static void Measure(
        Subject subject,
        Subject? reference,
        ReadOnlySpan<int> window,
        int firstCounted,
        Sums losses,
        ComparisonSums comparison,
        CancellationToken cancellation)
    {
        subject.Begin();
        reference?.Begin();
        int length = window.Length - 1;
        for (int start = 0; start < length; start += subject.Rows)
        {
            int count = Math.Min(subject.Rows, length - start);
            subject.Forward(window.Slice(start, count), cancellation);
            reference?.Forward(window.Slice(start, count), cancellation);
            for (int row = Math.Max(0, firstCounted - start); row < count; row++)
            {
                int next = window[start + row + 1];
                double loss = subject.TakeLogarithms(row, next);
                losses.Add(loss);
                if (reference is not null)
                {
                    double referenceLoss = reference.TakeLogarithms(row, next);
                    comparison.Add(reference.Logarithms, subject.Logarithms, referenceLoss, loss);
                }
            }
        }
    }

    /// <summary>A model while it is measured.</summary>
    private sealed class Subject : IDisposable
    {
        private readonly LanguageModel _model;
        private readonly KeyValueCache _cache;
        private readonly float[] _logits;

        public Subject(LanguageModel model, int length)
        {
            _model = model;
            int vocabulary = model.Config.VocabularySize;
            Rows = (int)Math.Clamp(LogitBytes / sizeof(float) / vocabulary, 1, length);
            _logits = new float[Rows * vocabulary];
            Logarithms = new float[vocabulary];
            _cache = model.CreateCache();
        }

        /// <summary>Rows of logits that there is room for.</summary>
        public int Rows { get; }

        /// <summary>Logarithms of the probabilities of the row taken last.</summary>
        public float[] Logarithms { get; }

        public void Begin() => _cache.Clear();

        public void Forward(ReadOnlySpan<int> tokens, CancellationToken cancellation) =>
            _model.Forward(tokens, _cache, _logits.AsSpan(0, tokens.Length * Logarithms.Length), cancellation);

        /// <summary>Turns a row of logits into logarithms of probabilities; minus that of a token.</summary>
        public double TakeLogarithms(int row, int token)
        {
            LogSoftmax.Compute(_logits.AsSpan(row * Logarithms.Length, Logarithms.Length), Logarithms);
            return -Logarithms[token];
        }

        public void Dispose() => _cache.Dispose();
    }

    private sealed class Sums
    {
        private double _sum;
        private double _squares;

        public long Count { get; private set; }

        public double Mean => _sum / Count;

        public double StandardError => Count < 2 ? 0 : Math.Sqrt(Math.Max(0, (_squares / Count) - (Mean * Mean)) / (Count - 1));

        public void Add(double value)
        {
            _sum += value;
            _squares += value * value;
            Count++;
        }
    }

    private sealed class ComparisonSums
    {
        private readonly List<float> _divergences = [];
        private float[] _probabilities = [];
        private float[] _differences = [];
        private double _loss;
        private double _squares;
        private long _same;

        public void Add(ReadOnlySpan<float> reference, ReadOnlySpan<float> subject, double referenceLoss, double loss)
        {
            if (_probabilities.Length != reference.Length)
            {
                _probabilities = new float[reference.Length];
                _differences = new float[reference.Length];
            }

            TensorPrimitives.Exp(reference, _probabilities);
            TensorPrimitives.Subtract(reference, subject, _differences);
            _divergences.Add(Math.Max(0, TensorPrimitives.Dot<float>(_probabilities, _differences)));
            _same += TensorPrimitives.IndexOfMax(reference) == TensorPrimitives.IndexOfMax(subject) ? 1 : 0;
            _loss += referenceLoss;
            double difference = Math.Exp(-loss) - Math.Exp(-referenceLoss);
            _squares += difference * difference;
        }

        public ModelComparison ToResult()
        {
            _divergences.Sort();
            int count = _divergences.Count;
            return new ModelComparison
            {
                Perplexity = Math.Exp(_loss / count),
                MeanDivergence = _divergences.Average(value => (double)value),
                Divergence999 = _divergences[Math.Min(count - 1, (int)Math.Ceiling(0.999 * count) - 1)],
                MaxDivergence = _divergences[^1],
                SameTop = (double)_same / count,
                ProbabilityRmse = Math.Sqrt(_squares / count),
            };
        }
    }
}
