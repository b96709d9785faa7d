using KQuant.Models.Generation;

namespace KQuant.Models.Grammars;

/// <summary>Lets a text go on only as a grammar allows, and end only where it may.</summary>
internal sealed class GrammarProcessor : LogitsProcessor
{
    private readonly TokenMasks _masks;
    private readonly IReadOnlyList<int> _endTokens;
    private GrammarState _state;
    private bool _isFirst = true;
    private bool _hasEnded;

    public GrammarProcessor(TokenMasks masks)
        : this(masks, [])
    {
    }

    private GrammarProcessor(TokenMasks masks, IReadOnlyList<int> endTokens)
    {
        (_masks, _endTokens) = (masks, endTokens);
        _state = masks.Start;
    }

    public override bool IsComplete => _hasEnded || (_state.Places.Length == 0 && _state.IsAccepting);

    public override LogitsProcessor Begin(ReadOnlySpan<int> prompt, IReadOnlyList<int> endTokens) => new GrammarProcessor(_masks, endTokens);

    public override void Process(ReadOnlySpan<int> tokens, Span<float> logits) => _masks.Apply(_state, _isFirst, _endTokens, logits);

    public override void Accept(int token)
    {
        _isFirst = false;
        if (_masks.Advance(_state, token) is { } next)
        {
            _state = next;
        }
        else if (_endTokens.Contains(token))
        {
            _hasEnded = true;
        }
        else
        {
            throw new GrammarException($"Token {token} does not go on as the grammar asks.");
        }
    }
}
