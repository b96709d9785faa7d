using System.Runtime.InteropServices;

namespace KQuant.Models.Transformers;

/// <summary>
/// What goes through a model together: chunks of any texts, some a token long, some parts of prompts. Used again and again, so that a step
/// allocates nothing.
/// </summary>
internal sealed class ModelStep
{
    private readonly List<int> _tokens = [];
    private readonly List<int> _outputRows = [];
    private readonly List<SequenceChunk> _chunks = [];

    /// <summary>The tokens of all chunks: a row each.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>The rows whose results are wanted; ascending.</summary>
    public ReadOnlySpan<int> OutputRows => CollectionsMarshal.AsSpan(_outputRows);

    /// <summary>Which rows continue which text.</summary>
    public List<SequenceChunk> Chunks => _chunks;

    /// <summary>Empties it.</summary>
    public void Clear()
    {
        _tokens.Clear();
        _outputRows.Clear();
        _chunks.Clear();
    }

    /// <summary>Adds a chunk.</summary>
    /// <param name="cache">The cache of its text, which no other chunk has.</param>
    /// <param name="tokens">The next tokens of the text.</param>
    /// <param name="outputs">For which of them results are wanted.</param>
    public void Add(KeyValueCache cache, ReadOnlySpan<int> tokens, StepOutputs outputs)
    {
        int first = _tokens.Count;
        _chunks.Add(new SequenceChunk(cache, first, tokens.Length));
        _tokens.AddRange(tokens);
        for (int row = outputs == StepOutputs.All ? first : _tokens.Count - 1; outputs != StepOutputs.None && row < _tokens.Count; row++)
        {
            _outputRows.Add(row);
        }
    }
}
