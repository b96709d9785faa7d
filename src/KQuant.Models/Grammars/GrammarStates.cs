using System.Runtime.InteropServices;

namespace KQuant.Models.Grammars;

/// <summary>
/// Walks a grammar: from a state by a byte to the next, each step computed once and remembered. What is remembered is bounded; beyond that
/// everything is forgotten and computed anew. For one caller at a time.
/// </summary>
internal sealed class GrammarStates
{
    /// <summary>Up to some 2.5 KB each.</summary>
    private const int MaxStates = 8192;

    private const int MaxStacks = 1 << 18;

    /// <summary>Places in one state; grammars that people write have a few.</summary>
    private const int MaxPlaces = 1024;

    private readonly GrammarNetwork _network;
    private readonly Dictionary<(int State, long Stack), StackNode> _stacks = [];
    private readonly Dictionary<PlaceKey, GrammarState> _states = [];
    private readonly HashSet<(int State, long Stack)> _seen = [];
    private readonly Stack<(int State, StackNode? Stack)> _work = new();
    private readonly List<(int State, StackNode? Stack)> _found = [];
    private int _generation;
    private long _nextId;

    public GrammarStates(GrammarNetwork network)
    {
        _network = network;
        Start = Close([(network.Start, null)]);
    }

    /// <summary>Nothing has been read.</summary>
    public GrammarState Start { get; }

    /// <summary>How often everything was forgotten.</summary>
    public int Generation => _generation;

    /// <summary>The state behind a byte; null where no text goes on so.</summary>
    public GrammarState? Step(GrammarState state, byte value)
    {
        if (state.TryGetNext(value, out GrammarState? next))
        {
            return next;
        }

        var targets = new List<(int State, StackNode? Stack)>();
        foreach ((int place, StackNode? stack) in state.Places)
        {
            foreach (GrammarNetwork.Edge edge in _network.GetEdges(place))
            {
                if (edge.Kind == GrammarNetwork.EdgeKind.Bytes && edge.First <= value && value <= edge.Last)
                {
                    targets.Add((edge.Target, stack));
                }
            }
        }

        next = targets.Count == 0 ? null : NullIfDead(Close(targets));
        state.SetNext(value, next);
        return next;
    }

    /// <summary>The state behind a token that the grammar names; null where no text goes on so.</summary>
    public GrammarState? StepToken(GrammarState state, int token)
    {
        var targets = new List<(int State, StackNode? Stack)>();
        foreach ((int place, StackNode? stack) in state.Places)
        {
            foreach (GrammarNetwork.Edge edge in _network.GetEdges(place))
            {
                if (edge.Kind == GrammarNetwork.EdgeKind.Token && edge.Value == token)
                {
                    targets.Add((edge.Target, stack));
                }
            }
        }

        return targets.Count == 0 ? null : NullIfDead(Close(targets));
    }

    /// <summary>The tokens that the grammar names in a state.</summary>
    public IEnumerable<int> TokensOf(GrammarState state)
    {
        foreach ((int place, _) in state.Places)
        {
            foreach (GrammarNetwork.Edge edge in _network.GetEdges(place).ToArray())
            {
                if (edge.Kind == GrammarNetwork.EdgeKind.Token)
                {
                    yield return edge.Value;
                }
            }
        }
    }

    /// <summary>The same state among those that are remembered now.</summary>
    public GrammarState Renew(GrammarState state) => state.Generation == _generation
        ? state
        : Intern([.. state.Places.Select(place => (place.State, Renew(place.Stack)))], state.IsAccepting);

    private static GrammarState? NullIfDead(GrammarState state) => state.Places.Length == 0 && !state.IsAccepting ? null : state;

    private StackNode? Renew(StackNode? stack) => stack is null ? null : Push(Renew(stack.Parent), stack.State);

    /// <summary>Everything that is reached without reading anything.</summary>
    private GrammarState Close(IEnumerable<(int State, StackNode? Stack)> from)
    {
        _seen.Clear();
        _found.Clear();
        bool isAccepting = false;
        foreach ((int state, StackNode? stack) in from)
        {
            Visit(state, stack);
        }

        while (_work.TryPop(out (int State, StackNode? Stack) place))
        {
            (int state, StackNode? stack) = place;
            if (_network.IsFinal(state))
            {
                if (stack is null)
                {
                    isAccepting = true;
                }
                else
                {
                    Visit(stack.State, stack.Parent);
                }
            }

            bool reads = false;
            foreach (GrammarNetwork.Edge edge in _network.GetEdges(state))
            {
                switch (edge.Kind)
                {
                    case GrammarNetwork.EdgeKind.Empty:
                        Visit(edge.Target, stack);
                        break;
                    case GrammarNetwork.EdgeKind.Call:
                        if (Fits(edge.Target, stack))
                        {
                            Visit(edge.Value, _network.IsTail(edge.Target) ? stack : Push(stack, edge.Target));
                        }

                        break;
                    default:
                        // Behind it the rest of the rule must find room.
                        reads |= Fits(edge.Target, stack);
                        break;
                }
            }

            if (reads)
            {
                _found.Add(place);
            }
        }

        if (_found.Count > MaxPlaces)
        {
            throw new GrammarException($"The grammar is ambiguous: a text may be at more than {MaxPlaces} places of it at once.");
        }

        (int State, StackNode? Stack)[] places = [.. _found];
        Array.Sort(places, (a, b) => a.State != b.State ? a.State.CompareTo(b.State) : (a.Stack?.Id ?? -1).CompareTo(b.Stack?.Id ?? -1));
        return Intern(places, isAccepting);
    }

    private bool Fits(int state, StackNode? stack) => (long)(stack?.Depth ?? 0) + _network.GetNeed(state) <= _network.MaxDepth;

    private void Visit(int state, StackNode? stack)
    {
        if (Fits(state, stack) && _seen.Add((state, stack?.Id ?? -1)))
        {
            if (_seen.Count > 64 * MaxPlaces)
            {
                throw new GrammarException($"The grammar is ambiguous: a text may be at more than {MaxPlaces} places of it at once.");
            }

            _work.Push((state, stack));
        }
    }

    private StackNode Push(StackNode? parent, int state)
    {
        ref StackNode? node = ref CollectionsMarshal.GetValueRefOrAddDefault(_stacks, (state, parent?.Id ?? -1), out _);
        return node ??= new StackNode(parent, state, _nextId++);
    }

    private GrammarState Intern((int State, StackNode? Stack)[] places, bool isAccepting)
    {
        var key = new PlaceKey(places, isAccepting);
        if (_states.TryGetValue(key, out GrammarState? known))
        {
            return known;
        }

        if (_states.Count >= MaxStates || _stacks.Count >= MaxStacks)
        {
            _states.Clear();
            _stacks.Clear();
            _generation++;
            places = [.. places.Select(place => (place.State, Renew(place.Stack)))];
            key = new PlaceKey(places, isAccepting);
        }

        var state = new GrammarState(places, isAccepting, _generation);
        _states.Add(key, state);
        return state;
    }

    /// <summary>Places as a key.</summary>
    private readonly struct PlaceKey((int State, StackNode? Stack)[] places, bool isAccepting) : IEquatable<PlaceKey>
    {
        private readonly (int State, StackNode? Stack)[] _places = places;
        private readonly bool _isAccepting = isAccepting;

        public bool Equals(PlaceKey other) => _isAccepting == other._isAccepting && _places.AsSpan().SequenceEqual(other._places);

        public override bool Equals(object? obj) => obj is PlaceKey other && Equals(other);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            foreach ((int state, StackNode? stack) in _places)
            {
                hash.Add(state);
                hash.Add(stack?.Id ?? -1);
            }

            return hash.ToHashCode();
        }
    }
}
