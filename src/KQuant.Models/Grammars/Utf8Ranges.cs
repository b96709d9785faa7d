using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>Sets of characters as edges over the bytes of their UTF-8.</summary>
internal static class Utf8Ranges
{
    private static readonly (int First, int Last)[] Lengths = [(0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)];

    /// <summary>Adds the characters of a set from one state to another.</summary>
    /// <param name="set">The characters; halves of surrogate pairs are none.</param>
    /// <param name="from">The state before.</param>
    /// <param name="to">The state behind.</param>
    /// <param name="addState">Makes a state.</param>
    /// <param name="addEdge">Adds an edge to a state.</param>
    public static void Add(CodePointSet set, int from, int to, Func<int> addState, Action<int, GrammarNetwork.Edge> addEdge)
    {
        var tails = new Dictionary<(byte First, byte Last, int Target), int>();
        for (int i = 0; i + 1 < set.Changes.Length; i += 2)
        {
            foreach ((int first, int last) in Lengths)
            {
                Split(Math.Max(first, set.Changes[i]), Math.Min(last, set.Changes[i + 1] - 1));
            }
        }

        // Parts in which each byte has a range of its own, whatever the others are.
        void Split(int first, int last)
        {
            if (first > last)
            {
                return;
            }

            int length = first < 0x80 ? 1 : first < 0x800 ? 2 : first < 0x10000 ? 3 : 4;
            for (int i = 1; i < length; i++)
            {
                int low = (1 << (6 * i)) - 1;
                if ((first & ~low) != (last & ~low))
                {
                    if ((first & low) != 0)
                    {
                        Split(first, first | low);
                        Split((first | low) + 1, last);
                        return;
                    }

                    if ((last & low) != low)
                    {
                        Split(first, (last & ~low) - 1);
                        Split(last & ~low, last);
                        return;
                    }
                }
            }

            int target = to;
            for (int i = length - 1; i > 0; i--)
            {
                target = Tail(ByteOf(first, length, i), ByteOf(last, length, i), target);
            }

            addEdge(from, new GrammarNetwork.Edge(GrammarNetwork.EdgeKind.Bytes, target, 0, ByteOf(first, length, 0), ByteOf(last, length, 0)));
        }

        int Tail(byte first, byte last, int target)
        {
            if (!tails.TryGetValue((first, last, target), out int state))
            {
                state = addState();
                addEdge(state, new GrammarNetwork.Edge(GrammarNetwork.EdgeKind.Bytes, target, 0, first, last));
                tails.Add((first, last, target), state);
            }

            return state;
        }
    }

    private static byte ByteOf(int point, int length, int index)
    {
        int bits = point >> (6 * (length - 1 - index));
        return (byte)(index > 0 ? 0x80 | (bits & 0x3F) : length switch { 1 => bits, 2 => 0xC0 | bits, 3 => 0xE0 | bits, _ => 0xF0 | bits });
    }
}
