using KQuant.Codecs.Files;

namespace KQuant.Models.Grammars;

/// <summary>
/// A grammar as states and edges over bytes. A rule is a state that begins it and one that ends it; an edge that calls a rule goes on when
/// that ends.
/// </summary>
internal sealed class GrammarNetwork
{
    private readonly Edge[][] _edges;
    private readonly bool[] _isFinal;
    private readonly bool[] _isTail;
    private readonly int[] _needs;

    private GrammarNetwork(List<List<Edge>> edges, List<bool> isFinal, int start, int maxDepth)
    {
        _edges = [.. edges.Select(list => list.ToArray())];
        _isFinal = [.. isFinal];
        Start = start;
        MaxDepth = maxDepth;
        _isTail = FindTails();
        RefuseLeftRecursion();
        _needs = FindNeeds();
        if (_needs[start] > maxDepth)
        {
            throw new GrammarException(
                _needs[start] == int.MaxValue ? "No text fits the grammar: some rule never ends." : $"Every text of the grammar nests deeper than {maxDepth} rules.");
        }
    }

    public enum EdgeKind : byte
    {
        /// <summary>A byte from <see cref="Edge.First"/> to <see cref="Edge.Last"/>.</summary>
        Bytes,

        /// <summary>Nothing.</summary>
        Empty,

        /// <summary>The rule that begins with state <see cref="Edge.Value"/>.</summary>
        Call,

        /// <summary>The token <see cref="Edge.Value"/>.</summary>
        Token,
    }

    /// <summary>From one state to the next.</summary>
    public readonly record struct Edge(EdgeKind Kind, int Target, int Value = 0, byte First = 0, byte Last = 0);

    /// <summary>Where a text begins.</summary>
    public int Start { get; }

    /// <summary>Calls within calls at most.</summary>
    public int MaxDepth { get; }

    public ReadOnlySpan<Edge> GetEdges(int state) => _edges[state];

    /// <summary>Whether the rule of a state ends there.</summary>
    public bool IsFinal(int state) => _isFinal[state];

    /// <summary>Whether nothing of the rule of a state is left: a call that goes on there need not come back.</summary>
    public bool IsTail(int state) => _isTail[state];

    /// <summary>How many more calls within calls the rest of a rule takes at least.</summary>
    public int GetNeed(int state) => _needs[state];

    /// <summary>Compiles rules.</summary>
    /// <param name="rules">The rules by name.</param>
    /// <param name="root">The rule that texts fit.</param>
    /// <param name="maxDepth">Calls within calls at most.</param>
    /// <exception cref="GrammarException">A rule is missing or calls itself first, no text fits, or it is too large.</exception>
    public static GrammarNetwork Compile(IReadOnlyDictionary<string, GrammarNode> rules, string root, int maxDepth)
    {
        var builder = new Builder(rules);
        return new GrammarNetwork(builder.Edges, builder.IsFinal, builder.CompileAll(root), maxDepth);
    }

    private bool[] FindTails()
    {
        var tails = (bool[])_isFinal.Clone();
        for (int state = 0; state < tails.Length; state++)
        {
            int at = state, steps = 0;
            while (!tails[at] && _edges[at] is [{ Kind: EdgeKind.Empty } only] && steps++ < 64)
            {
                at = only.Target;
            }

            tails[state] = tails[at];
        }

        return tails;
    }

    /// <summary>States from which a rule can end without a byte.</summary>
    private bool[] FindNullable(int[][] before)
    {
        var nullable = (bool[])_isFinal.Clone();
        var queue = new Queue<int>(Enumerable.Range(0, nullable.Length).Where(state => nullable[state]));
        while (queue.TryDequeue(out int state))
        {
            foreach (int other in before[state])
            {
                bool ends = Array.Exists(_edges[other], edge => edge.Kind == EdgeKind.Empty ? nullable[edge.Target]
                    : edge.Kind == EdgeKind.Call && nullable[edge.Value] && nullable[edge.Target]);
                if (ends && !nullable[other])
                {
                    nullable[other] = true;
                    queue.Enqueue(other);
                }
            }
        }

        return nullable;
    }

    /// <summary>For every state those whose edges name it, as their target or as the rule they call.</summary>
    private int[][] FindBefore()
    {
        var before = new List<int>[_edges.Length];
        for (int state = 0; state < _edges.Length; state++)
        {
            foreach (Edge edge in _edges[state])
            {
                (before[edge.Target] ??= []).Add(state);
                if (edge.Kind == EdgeKind.Call)
                {
                    (before[edge.Value] ??= []).Add(state);
                }
            }
        }

        return [.. before.Select(list => list?.ToArray() ?? [])];
    }

    /// <summary>A rule that calls itself before it has read anything would do so for ever.</summary>
    private void RefuseLeftRecursion()
    {
        bool[] nullable = FindNullable(FindBefore());

        // Depth first over what is reached without a byte. A circle with a call in it is a rule that begins with itself.
        var color = new byte[_edges.Length];
        var calls = new int[_edges.Length];
        var path = new Stack<(int State, int Edge)>();
        for (int root = 0; root < color.Length; root++)
        {
            if (color[root] != 0)
            {
                continue;
            }

            path.Push((root, 0));
            color[root] = 1;
            while (path.TryPop(out (int State, int Edge) top))
            {
                (int state, int index) = top;
                if (index == 2 * _edges[state].Length)
                {
                    color[state] = 2;
                    continue;
                }

                path.Push((state, index + 1));
                Edge edge = _edges[state][index / 2];
                bool enters = index % 2 == 1;
                int next = enters ? edge.Kind == EdgeKind.Call ? edge.Value : -1
                    : edge.Kind == EdgeKind.Empty || (edge.Kind == EdgeKind.Call && nullable[edge.Value]) ? edge.Target : -1;
                if (next < 0)
                {
                    continue;
                }

                if (color[next] == 0)
                {
                    color[next] = 1;
                    calls[next] = calls[state] + (enters ? 1 : 0);
                    path.Push((next, 0));
                }
                else if (color[next] == 1 && calls[state] + (enters ? 1 : 0) > calls[next])
                {
                    throw new GrammarException("A rule of the grammar begins with itself, at once or through others, which has no end.");
                }
            }
        }
    }

    private int[] FindNeeds()
    {
        int[][] before = FindBefore();
        var needs = new int[_edges.Length];
        Array.Fill(needs, int.MaxValue);
        var queue = new Queue<int>();
        for (int state = 0; state < needs.Length; state++)
        {
            if (_isFinal[state])
            {
                needs[state] = 0;
                queue.Enqueue(state);
            }
        }

        while (queue.TryDequeue(out int changed))
        {
            foreach (int state in before[changed])
            {
                int need = int.MaxValue;
                foreach (Edge edge in _edges[state])
                {
                    int rest = needs[edge.Target];
                    if (edge.Kind == EdgeKind.Call && rest < int.MaxValue)
                    {
                        int inner = needs[edge.Value];
                        rest = inner == int.MaxValue ? inner : Math.Max(rest, inner + (_isTail[edge.Target] ? 0 : 1));
                    }

                    need = Math.Min(need, rest);
                }

                if (need < needs[state])
                {
                    needs[state] = need;
                    queue.Enqueue(state);
                }
            }
        }

        return needs;
    }

    private sealed class Builder(IReadOnlyDictionary<string, GrammarNode> rules)
    {
        /// <summary>Some two hundred bytes each.</summary>
        private const int MaxStates = 200_000;

        /// <summary>A repeated part that takes more states than this is a rule of its own, called each time.</summary>
        private const int InlineStates = 2;

        private readonly Dictionary<string, int> _starts = new(StringComparer.Ordinal);
        private readonly Queue<(GrammarNode Node, int Start)> _waiting = new();

        public List<List<Edge>> Edges { get; } = [];

        public List<bool> IsFinal { get; } = [];

        public int CompileAll(string root)
        {
            int start = GetRule(root);
            while (_waiting.TryDequeue(out (GrammarNode Node, int Start) rule))
            {
                int end = Add(rule.Node, rule.Start);
                IsFinal[end] = true;
            }

            return start;
        }

        private int GetRule(string name)
        {
            if (!_starts.TryGetValue(name, out int start))
            {
                GrammarNode node = rules.GetValueOrDefault(name) ?? throw new GrammarException($"The grammar has no rule '{Printable.Shorten(name)}'.");
                start = AddRule(node);
                _starts.Add(name, start);
            }

            return start;
        }

        private int AddRule(GrammarNode node)
        {
            int start = AddState();
            _waiting.Enqueue((node, start));
            return start;
        }

        private int AddState()
        {
            if (Edges.Count == MaxStates)
            {
                throw new GrammarException($"The grammar has more than {MaxStates} states; fewer or smaller repetitions make it smaller.");
            }

            Edges.Add([]);
            IsFinal.Add(false);
            return Edges.Count - 1;
        }

        private int AddEdge(int from, EdgeKind kind, int value = 0)
        {
            int to = AddState();
            Edges[from].Add(new Edge(kind, to, value));
            return to;
        }

        /// <summary>Adds a part behind a state; the state behind it.</summary>
        private int Add(GrammarNode node, int from)
        {
            switch (node)
            {
                case GrammarNode.Literal literal:
                    foreach (byte value in literal.Bytes)
                    {
                        int to = AddState();
                        Edges[from].Add(new Edge(EdgeKind.Bytes, to, 0, value, value));
                        from = to;
                    }

                    return from;

                case GrammarNode.Characters characters:
                    int end = AddState();
                    Utf8Ranges.Add(characters.Set, from, end, AddState, (state, edge) => Edges[state].Add(edge));
                    return end;

                case GrammarNode.Reference reference:
                    return AddEdge(from, EdgeKind.Call, GetRule(reference.Rule));

                case GrammarNode.Token token:
                    return AddEdge(from, EdgeKind.Token, token.Id);

                case GrammarNode.Sequence sequence:
                    return sequence.Parts.Aggregate(from, (at, part) => Add(part, at));

                case GrammarNode.Choice choice:
                    int join = AddState();
                    foreach (GrammarNode part in choice.Parts)
                    {
                        int last = Add(part, AddEdge(from, EdgeKind.Empty));
                        Edges[last].Add(new Edge(EdgeKind.Empty, join));
                    }

                    return join;

                default:
                    return Repeat((GrammarNode.Repetition)node, from);
            }
        }

        private int Repeat(GrammarNode.Repetition repetition, int from)
        {
            (GrammarNode part, int least, int most) = repetition;
            int copies = Math.Max(least, most);
            int? rule = copies > 1 && !IsSmall(part) && part is not GrammarNode.Reference ? AddRule(part) : null;
            int AddPart(int at) => rule is int start ? AddEdge(at, EdgeKind.Call, start) : Add(part, at);
            for (int i = 0; i < least; i++)
            {
                from = AddPart(from);
            }

            int end = AddState();
            Edges[from].Add(new Edge(EdgeKind.Empty, end));
            if (most < 0)
            {
                int back = AddPart(from);
                Edges[back].Add(new Edge(EdgeKind.Empty, from));
                return end;
            }

            for (int i = least; i < most; i++)
            {
                from = AddPart(from);
                Edges[from].Add(new Edge(EdgeKind.Empty, end));
            }

            return end;
        }

        private static bool IsSmall(GrammarNode node) => node switch
        {
            GrammarNode.Literal literal => literal.Bytes.Length <= InlineStates,
            GrammarNode.Characters characters => characters.Set.Changes is [.., <= 0x80],
            GrammarNode.Token => true,
            _ => false,
        };
    }
}
