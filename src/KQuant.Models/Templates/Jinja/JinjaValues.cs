using System.Collections;
using System.Numerics;

namespace KQuant.Models.Templates;

// The values of a template: null (None), bool, long, BigInteger (beyond 64 bits), double, string, and the classes below. Nothing else ever
// gets in, so that a template has no way to an object of the program.

/// <summary>A name or member that is not there. It prints as nothing and counts as false; using it otherwise is an error.</summary>
/// <param name="Problem">What the error says.</param>
internal sealed record UndefinedValue(string Problem);

/// <summary>
/// A text that <c>safe</c> or <c>escape</c> made (Python's <c>markupsafe.Markup</c>): what is added to it is escaped. It exists inside of
/// expressions and in variables; whatever else takes a value takes its text.
/// </summary>
internal sealed record Markup(string Text)
{
    /// <summary>A value without the mark.</summary>
    public static object? Unwrap(object? value) => value is Markup marked ? marked.Text : value;

    /// <summary>A text with the five characters of HTML escaped.</summary>
    public static string Escape(string text) => text
        .Replace("&", "&amp;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);
}

/// <summary>A list.</summary>
internal sealed class JinjaList(List<object?> items, bool isInput = false)
{
    public List<object?> Items => items;

    /// <summary>Whether it comes from outside, so that the template must not change it.</summary>
    public bool IsInput => isInput;
}

/// <summary>A tuple.</summary>
internal sealed record JinjaTuple(object?[] Items);

/// <summary>A dictionary, in the order of insertion. Callers charge what hashing and comparing a key costs.</summary>
internal sealed class JinjaDict(bool isInput = false)
{
    private readonly OrderedDictionary<object, object?> _items = new(PythonEquality.Instance);

    public bool IsInput => isInput;

    public int Count => _items.Count;

    public IEnumerable<object?> Keys => _items.Keys.Select(Unwrap);

    public IEnumerable<object?> Values => _items.Values;

    public IEnumerable<(object? Key, object? Value)> Entries => _items.Select(pair => (Unwrap(pair.Key), pair.Value));

    public IEnumerable<JinjaTuple> Pairs => _items.Select(pair => new JinjaTuple([Unwrap(pair.Key), pair.Value]));

    public object? this[object? key]
    {
        set => _items[Wrap(key)] = value;
    }

    public bool TryGet(object? key, out object? value) => _items.TryGetValue(Wrap(key), out value);

    public bool Remove(object? key) => _items.Remove(Wrap(key));

    public void Clear() => _items.Clear();

    // None is a key like any other in Python.
    private static object Wrap(object? key) => key switch
    {
        null => NoneKey.Instance,
        JinjaList or JinjaDict => throw new TemplateException($"unhashable type: '{PythonText.TypeName(key)}'"),
        _ => key,
    };

    private static object? Unwrap(object key) => key is NoneKey ? null : key;

    private sealed class NoneKey
    {
        public static readonly NoneKey Instance = new();
    }
}

/// <summary>The result of <c>namespace()</c>: the only thing whose members a template may set.</summary>
internal sealed class JinjaNamespace
{
    public Dictionary<string, object?> Members { get; } = new(StringComparer.Ordinal);
}

/// <summary>The result of <c>range()</c>.</summary>
internal sealed record JinjaRange(long Start, long Stop, long Step)
{
    public int Count => (int)Int128.Max(0, Step > 0 ? ((Int128)Stop - Start + Step - 1) / Step : ((Int128)Start - Stop - Step - 1) / -(Int128)Step);

    public long this[int index] => Start + (index * Step);
}

/// <summary>What <c>items()</c>, <c>keys()</c> and <c>values()</c> of a dictionary give.</summary>
internal sealed record JinjaView(string Name, List<object?> Items);

/// <summary>What <c>map</c>, <c>select</c> and their like give: values that can be gone through once.</summary>
internal sealed class JinjaGenerator : IEnumerable<object?>
{
    /// <summary>Each generator of a chain calls the one before it.</summary>
    private const int MaxDepth = 100;

    private readonly int _depth;
    private IEnumerator<object?>? _items;

    /// <param name="items">The values.</param>
    /// <param name="source">What they are made from.</param>
    public JinjaGenerator(IEnumerable<object?> items, object? source)
    {
        _depth = source is JinjaGenerator before ? before._depth + 1 : 0;
        _items = _depth <= MaxDepth ? items.GetEnumerator() : throw new TemplateException($"more than {MaxDepth} filters one behind another");
    }

    public IEnumerator<object?> GetEnumerator()
    {
        IEnumerator<object?> rest = _items ?? Enumerable.Empty<object?>().GetEnumerator();
        while (rest.MoveNext())
        {
            yield return rest.Current;
        }

        _items = null;
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Something that can be called.</summary>
internal abstract class JinjaCallable
{
    public abstract string Name { get; }

    public abstract object? Call(RenderContext context, CallArguments arguments);
}

/// <summary>A function of the program, or a method bound to its object.</summary>
internal sealed class JinjaFunction(string name, Func<RenderContext, CallArguments, object?> body) : JinjaCallable
{
    public override string Name => name;

    public override object? Call(RenderContext context, CallArguments arguments) => body(context, arguments);
}

/// <summary>
/// Equality and hashes of keys as in Python: 1, 1.0 and True are one key. Hashes differ from process to process, so that no template can
/// choose keys that collide.
/// </summary>
internal sealed class PythonEquality : IEqualityComparer<object>
{
    public static readonly PythonEquality Instance = new();

    public new bool Equals(object? x, object? y) => PythonCompare.AreEqual(null, x, y);

    public int GetHashCode(object obj)
    {
        switch (obj)
        {
            case bool flag: return HashCode.Combine(flag ? 1L : 0L);
            case long integer: return HashCode.Combine(integer);
            case double number: return OfDouble(number);
            case BigInteger big: return big.GetBitLength() < 1000 && (BigInteger)(double)big == big ? OfDouble((double)big) : HashCode.Combine(big.GetHashCode(), big.GetBitLength());
            case string text: return text.GetHashCode(StringComparison.Ordinal);
            case JinjaRange range:
                return HashCode.Combine(range.Count, range.Count > 0 ? range.Start : 0, range.Count > 1 ? range.Step : 0);
            case UndefinedValue: return 0;
            case JinjaTuple tuple:
                var hash = new HashCode();
                foreach (object? item in tuple.Items)
                {
                    hash.Add(item is null ? 0 : GetHashCode(item));
                }

                return hash.ToHashCode();
            default: return System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(obj);
        }
    }

    // A whole number has the hash of the integer; what is no number is equal to itself alone.
    private static int OfDouble(double number) =>
        double.IsNaN(number) ? HashCode.Combine(Random.Shared.Next())
        : number == Math.Floor(number) && Math.Abs(number) < 9.2e18 ? HashCode.Combine((long)number)
        : HashCode.Combine(number);
}

/// <summary>Positional and named arguments of a call.</summary>
internal sealed class CallArguments(string function, List<object?> positional, List<(string Name, object? Value)> named)
{
    public static readonly CallArguments None = new("", [], []);

    public string Function => function;

    public List<object?> Positional => positional;

    public List<(string Name, object? Value)> Named => named;

    /// <summary>The same arguments behind another: a filter is a function of the value before it.</summary>
    public object? this[int index, string name]
    {
        get => TryGet(index, name, out object? value) ? value : throw new TemplateException($"{function}() needs an argument '{name}'");
    }

    public bool TryGet(int index, string name, out object? value)
    {
        if (index < positional.Count)
        {
            value = positional[index];
            return true;
        }

        foreach ((string given, object? argument) in named)
        {
            if (given == name)
            {
                value = argument;
                return true;
            }
        }

        value = null;
        return false;
    }

    public object? Get(int index, string name, object? standard) => TryGet(index, name, out object? value) ? value : standard;

    public long Integer(int index, string name, long standard) =>
        TryGet(index, name, out object? value) ? PythonNumbers.AsIndex(value, $"{function}()") : standard;

    public bool Flag(int index, string name, bool standard) => TryGet(index, name, out object? value) ? PythonText.IsTrue(value) : standard;

    public string Text(int index, string name) => this[index, name] as string
        ?? throw new TemplateException($"{function}() needs a string for '{name}', not {PythonText.TypeName(this[index, name])}");

    public string Text(int index, string name, string standard) => TryGet(index, name, out _) ? Text(index, name) : standard;

    /// <summary>Refuses what the function does not take.</summary>
    public void AtMost(int count, params ReadOnlySpan<string> names)
    {
        if (positional.Count > count)
        {
            throw new TemplateException($"{function}() takes {count} arguments but {positional.Count} were given");
        }

        foreach ((string name, _) in named)
        {
            if (!names.Contains(name))
            {
                throw new TemplateException($"{function}() has no argument '{name}'");
            }
        }
    }
}
