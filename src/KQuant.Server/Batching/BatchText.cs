using System.Diagnostics;
using KQuant.Models.Generation;

namespace KQuant.Server.Batching;

/// <summary>One of the texts of a request, from when it waits for a place to its end.</summary>
/// <param name="request">Whose it is.</param>
/// <param name="index">Its number there.</param>
/// <param name="prompt">What it begins with, and how it goes on.</param>
internal sealed class BatchText(BatchRequest request, int index, BatchPrompt prompt)
{
    private long _admitted;
    private long _first;
    private long _last;
    private volatile bool _isUnwanted;

    public BatchRequest Request => request;

    public int Index => index;

    public int[] Prompt => prompt.Tokens;

    public GenerationOptions Options => prompt.Options;

    /// <summary>What writes it; null while it waits for a place.</summary>
    public TextGenerator? Generator { get; private set; }

    /// <summary>Tokens of the prompt that need not be read.</summary>
    public int CachedTokens { get; private set; }

    /// <summary>Tokens that were generated.</summary>
    public int GeneratedTokens { get; private set; }

    /// <summary>The text whose reading of a common beginning it waits for, or waited for.</summary>
    public BatchText? Leader { get; set; }

    /// <summary>Whether nobody wants the rest.</summary>
    public bool IsUnwanted
    {
        get => _isUnwanted;
        set => _isUnwanted = value;
    }

    /// <summary>From its place in the batch to its first token.</summary>
    public TimeSpan PromptTime => _first == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_admitted, _first);

    /// <summary>From the first token to the last one.</summary>
    public TimeSpan DecodeTime => _first == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_first, _last);

    /// <summary>It has a place.</summary>
    public void Begin(TextGenerator generator, int cachedTokens)
    {
        (Generator, CachedTokens) = (generator, cachedTokens);
        _admitted = Stopwatch.GetTimestamp();
    }

    /// <summary>A token came.</summary>
    public void Add(GeneratedToken token)
    {
        _last = Stopwatch.GetTimestamp();
        _first = GeneratedTokens++ == 0 ? _last : _first;
        request.Write(index, token);
    }
}
