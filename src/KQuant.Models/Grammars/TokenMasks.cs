using System.Runtime.CompilerServices;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>Which tokens of a vocabulary may come in each state of a grammar. Safe for several texts at once.</summary>
internal sealed class TokenMasks
{
    private const long MaxMaskBytes = 64L << 20;

    private static readonly ConditionalWeakTable<Tokenizer, TokenTrie> Tries = [];

    private readonly Lock _gate = new();
    private readonly TokenTrie _trie;
    private readonly GrammarStates _states;
    private readonly TokenPieces _pieces;
    private readonly List<GrammarState> _masked = [];
    private ulong[]? _first;

    public TokenMasks(GrammarNetwork network, Tokenizer tokenizer)
    {
        _pieces = tokenizer.Pieces;
        _trie = Tries.GetValue(tokenizer, key => new TokenTrie(key.Pieces));
        _states = new GrammarStates(network);
    }

    /// <summary>Nothing has been written.</summary>
    public GrammarState Start => _states.Start;

    /// <summary>Takes away what may not come.</summary>
    /// <param name="state">Where the text is.</param>
    /// <param name="isFirst">Whether it has no token yet.</param>
    /// <param name="endTokens">What may come where the text may end.</param>
    /// <param name="logits">Negative infinity becomes the logit of everything else.</param>
    public void Apply(GrammarState state, bool isFirst, IReadOnlyList<int> endTokens, Span<float> logits)
    {
        ulong[] mask;
        lock (_gate)
        {
            mask = isFirst && (_pieces.TrimsFirstToken || _pieces.LeadingSpaces > 0) ? _first ??= WithoutSpaces(GetMask(state)) : GetMask(state);
        }

        bool any = false;
        for (int word = 0; word * 64 < logits.Length; word++)
        {
            ulong bits = word < mask.Length ? mask[word] : 0;
            any |= bits != 0;
            if (bits == ulong.MaxValue)
            {
                continue;
            }

            Span<float> some = logits[(word * 64)..Math.Min(logits.Length, (word * 64) + 64)];
            if (bits == 0)
            {
                Keep(some, word * 64, state, endTokens, ref any);
                continue;
            }

            for (int i = 0; i < some.Length; i++)
            {
                if ((bits >> i & 1) == 0 && !(state.IsAccepting && endTokens.Contains((word * 64) + i)))
                {
                    some[i] = float.NegativeInfinity;
                }
            }
        }

        if (!any && !(state.IsAccepting && endTokens.Count > 0))
        {
            throw new GrammarException("No token of the vocabulary goes on as the grammar asks.");
        }
    }

    /// <summary>The state behind a token; null where no text goes on so.</summary>
    public GrammarState? Advance(GrammarState state, int token)
    {
        lock (_gate)
        {
            if (_pieces.IsKnown(token) && (_pieces.Kinds[token] & TokenKinds.Special) == 0)
            {
                GrammarState? at = state;
                foreach (byte value in _pieces.Bytes[token])
                {
                    at = at is null ? null : _states.Step(at, value);
                }

                if (at is not null)
                {
                    return _states.Renew(at);
                }
            }

            return _states.StepToken(state, token) is { } next ? _states.Renew(next) : null;
        }
    }

    private static void Keep(Span<float> some, int first, GrammarState state, IReadOnlyList<int> endTokens, ref bool any)
    {
        Span<(int At, float Logit)> kept = stackalloc (int, float)[64];
        int count = 0;
        if (state.IsAccepting)
        {
            for (int i = 0; i < endTokens.Count; i++)
            {
                int at = endTokens[i] - first;
                if (at >= 0 && at < some.Length && count < kept.Length)
                {
                    kept[count++] = (at, some[at]);
                    any = true;
                }
            }
        }

        some.Fill(float.NegativeInfinity);
        foreach ((int at, float logit) in kept[..count])
        {
            some[at] = logit;
        }
    }

    private ulong[] GetMask(GrammarState state)
    {
        if (state.Mask is { } known)
        {
            return known;
        }

        var mask = new ulong[(_trie.VocabularySize + 63) / 64];
        _trie.Fill(_states, state, mask);
        foreach (int token in _states.TokensOf(state))
        {
            if (token < _trie.VocabularySize)
            {
                mask[token >> 6] |= 1UL << token;
            }
        }

        if ((_masked.Count + 1L) * mask.Length * sizeof(ulong) > MaxMaskBytes)
        {
            _masked.ForEach(masked => masked.Mask = null);
            _masked.Clear();
        }

        _masked.Add(state);
        return state.Mask = mask;
    }

    /// <summary>
    /// Tokenizers that put a space before a text take it off again, so that a first token would lose what the grammar counts.
    /// </summary>
    private ulong[] WithoutSpaces(ulong[] mask)
    {
        ulong[] first = [.. mask];
        for (int id = 0; id < _trie.VocabularySize; id++)
        {
            if (_pieces.Bytes[id].StartsWith(" "u8))
            {
                first[id >> 6] &= ~(1UL << id);
            }
        }

        return first;
    }
}
