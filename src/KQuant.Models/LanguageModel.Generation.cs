using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using KQuant.Models.Generation;

namespace KQuant.Models;

public sealed partial class LanguageModel
{
    private int[]? _endTokens;

    /// <summary>Tokens that end a text: those of the config, of <c>generation_config.json</c> and of the tokenizer.</summary>
    public IReadOnlyList<int> EndTokens => _endTokens ??=
        [.. Config.EosIds.Concat(HasTokenizer ? Tokenizer.EosIds : []).Where(id => id < Config.VocabularySize).Distinct().Order()];

    /// <summary>Whether the model was loaded with a tokenizer.</summary>
    public bool HasTokenizer => _tokenizer is not null;

    /// <summary>Continues a text.</summary>
    /// <param name="prompt">The text.</param>
    /// <param name="options">What to generate; null for 256 tokens as the makers of the model would choose them.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The tokens, as they come.</returns>
    /// <inheritdoc cref="GenerateAsync(IReadOnlyList{int}, GenerationOptions?, CancellationToken)" path="/exception"/>
    public IAsyncEnumerable<GeneratedToken> GenerateAsync(
        string prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default) =>
        GenerateAsync(Tokenizer.Encode(prompt), options, cancellationToken);

    /// <summary>Continues a text.</summary>
    /// <param name="prompt">Its tokens.</param>
    /// <param name="options">What to generate; null for 256 tokens as the makers of the model would choose them.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The tokens, as they come. Each is computed when it is asked for, on the thread pool.</returns>
    /// <exception cref="ContextLengthException">The prompt is longer than the context.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or there are no tokens.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IAsyncEnumerable<GeneratedToken> GenerateAsync(
        IReadOnlyList<int> prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        options = TextGenerator.Check(prompt, options);
        return Run(cancellationToken);

        async IAsyncEnumerable<GeneratedToken> Run([EnumeratorCancellation] CancellationToken cancellation)
        {
            using TextGenerator text = CreateText(prompt, options);
            StepScheduler scheduler = Schedule([text]);
            while (scheduler.Count > 0)
            {
                List<StepResult> results = await Task.Run(() => Next(scheduler, cancellation), cancellation).ConfigureAwait(false);
                yield return TokenOf(results[0]);
            }
        }
    }

    /// <summary>Continues a text on the calling thread.</summary>
    /// <inheritdoc cref="GenerateAsync(IReadOnlyList{int}, GenerationOptions?, CancellationToken)"/>
    /// <example>
    /// <code>
    /// int[] prompt = model.Tokenizer.Encode("It is a truth universally acknowledged");
    /// foreach (GeneratedToken token in model.Generate(prompt, new GenerationOptions { MaxTokens = 32 }))
    /// {
    ///     Console.Write(token.Text);
    /// }
    /// </code>
    /// </example>
    public IEnumerable<GeneratedToken> Generate(
        IReadOnlyList<int> prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        options = TextGenerator.Check(prompt, options);
        return Run();

        IEnumerable<GeneratedToken> Run()
        {
            using TextGenerator text = CreateText(prompt, options);
            StepScheduler scheduler = Schedule([text]);
            while (scheduler.Count > 0)
            {
                yield return TokenOf(Next(scheduler, cancellationToken)[0]);
            }
        }
    }

    /// <summary>
    /// Continues several texts at the same time: their next tokens go through the model together, which reads the weights once for all.
    /// </summary>
    /// <param name="prompts">The tokens of each.</param>
    /// <param name="options">What to generate. <see cref="GenerationOptions.Cache"/> must be null; texts draw from the seed plus their number.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The tokens of all texts as they come, in the order of the texts within a step.</returns>
    /// <inheritdoc cref="GenerateAsync(IReadOnlyList{int}, GenerationOptions?, CancellationToken)" path="/exception"/>
    public IAsyncEnumerable<BatchToken> GenerateBatchAsync(
        IReadOnlyList<IReadOnlyList<int>> prompts, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new GenerationOptions();
        if (options.Cache is not null)
        {
            throw new ArgumentException("A batch has a cache for each of its texts; give none.", nameof(options));
        }

        foreach (IReadOnlyList<int> prompt in prompts)
        {
            TextGenerator.Check(prompt, options);
        }

        return RunBatch(prompts, options, cancellationToken);
    }

    private async IAsyncEnumerable<BatchToken> RunBatch(
        IReadOnlyList<IReadOnlyList<int>> prompts, GenerationOptions options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var texts = new List<TextGenerator>();
        try
        {
            for (int i = 0; i < prompts.Count; i++)
            {
                SamplingOptions sampling = options.Sampling ?? DefaultSampling;
                sampling = sampling.Seed is int seed ? sampling with { Seed = unchecked(seed + i) } : sampling;
                texts.Add(CreateText(prompts[i], options with { Sampling = sampling }));
            }

            StepScheduler scheduler = Schedule(texts);
            while (scheduler.Count > 0)
            {
                List<StepResult> results = await Task.Run(() => Next(scheduler, cancellationToken), cancellationToken).ConfigureAwait(false);
                foreach (BatchToken token in results.Select(result => new BatchToken { Text = texts.IndexOf(result.Text), Token = TokenOf(result) }).OrderBy(token => token.Text))
                {
                    yield return token;
                }
            }
        }
        finally
        {
            foreach (TextGenerator text in texts)
            {
                text.Dispose();
            }
        }
    }

    /// <summary>The token of a result, or the exception that is in its place.</summary>
    private static GeneratedToken TokenOf(StepResult result)
    {
        if (result.Text.Failure is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }

        return result.Token!;
    }

    /// <summary>Takes steps until a text has a new token.</summary>
    private static List<StepResult> Next(StepScheduler scheduler, CancellationToken cancellation)
    {
        var results = new List<StepResult>();
        while (results.Count == 0)
        {
            scheduler.Advance(results, cancellation);
        }

        return results;
    }

    private StepScheduler Schedule(List<TextGenerator> texts)
    {
        var scheduler = new StepScheduler(_runner);
        texts.ForEach(scheduler.Admit);
        return scheduler;
    }

    /// <summary>A text to be generated; a cache in the options stays its owner's.</summary>
    internal TextGenerator CreateText(IReadOnlyList<int> prompt, GenerationOptions options)
    {
        options = options with { Sampling = options.Sampling ?? DefaultSampling };
        KeyValueCache cache = options.Cache ?? CreateCache(options.MaxCacheSize);
        try
        {
            return new TextGenerator(cache, options.Cache is null, prompt, options, _tokenizer, EndTokens);
        }
        catch
        {
            if (options.Cache is null)
            {
                cache.Dispose();
            }

            throw;
        }
    }
}
