using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>
/// The bytes of all tokens of a vocabulary as a tree in one array, depth first: tokens that begin alike are looked at together, and where
/// a grammar does not go on, all below is passed over.
/// </summary>
internal sealed class TokenTrie
{
    private readonly List<Node> _nodes = [];
    private readonly int[] _ids;

    /// <param name="pieces">What tokens are.</param>
    public TokenTrie(TokenPieces pieces)
    {
        VocabularySize = pieces.Kinds.Length;
        int[] ids = [.. Enumerable.Range(0, VocabularySize).Where(id => pieces.IsKnown(id) && (pieces.Kinds[id] & TokenKinds.Special) == 0
            && pieces.Bytes[id].Length > 0)];
        Array.Sort(ids, (a, b) => pieces.Bytes[a].SequenceCompareTo(pieces.Bytes[b]));
        _ids = ids;
        var open = new List<int>();
        for (int i = 0; i < ids.Length; i++)
        {
            ReadOnlySpan<byte> bytes = pieces.Bytes[ids[i]];
            int common = i == 0 ? 0 : bytes.CommonPrefixLength(pieces.Bytes[ids[i - 1]]);
            Close(open, common);
            for (int depth = common; depth < bytes.Length; depth++)
            {
                open.Add(_nodes.Count);
                _nodes.Add(new Node { Value = bytes[depth], Depth = depth, FirstId = i, LastId = i });
            }

            Node last = _nodes[open[bytes.Length - 1]];
            _nodes[open[bytes.Length - 1]] = last with { LastId = i + 1 };
        }

        Close(open, 0);
    }

    public int VocabularySize { get; }

    /// <summary>The tokens that may come in a state.</summary>
    /// <param name="states">The grammar.</param>
    /// <param name="start">The state.</param>
    /// <param name="mask">A bit for each token; set for those.</param>
    public void Fill(GrammarStates states, GrammarState start, Span<ulong> mask)
    {
        var path = new GrammarState[64];
        for (int i = 0; i < _nodes.Count;)
        {
            Node node = _nodes[i];
            GrammarState? next = states.Step(node.Depth == 0 ? start : path[node.Depth - 1], node.Value);
            if (next is null)
            {
                i = node.End;
                continue;
            }

            if (node.Depth >= path.Length)
            {
                Array.Resize(ref path, 2 * path.Length);
            }

            path[node.Depth] = next;
            for (int id = node.FirstId; id < node.LastId; id++)
            {
                mask[_ids[id] >> 6] |= 1UL << _ids[id];
            }

            i++;
        }
    }

    private void Close(List<int> open, int depth)
    {
        for (int i = open.Count - 1; i >= depth; i--)
        {
            _nodes[open[i]] = _nodes[open[i]] with { End = _nodes.Count };
        }

        open.RemoveRange(depth, open.Count - depth);
    }

    private readonly record struct Node
    {
        public byte Value { get; init; }

        public int Depth { get; init; }

        /// <summary>One behind the last node below it.</summary>
        public int End { get; init; }

        /// <summary>Tokens that end here, in the sorted list.</summary>
        public int FirstId { get; init; }

        public int LastId { get; init; }
    }
}
