using System.Collections;
using System.Numerics;

namespace KQuant.Models.Templates;

// The values of a template: null (None), bool, long, BigInteger (beyond 64 bits), double, string, and the classes below. Nothing else ever
// gets in, so that a template has no way to an object of the program.

/// <summary>A name or member that is not there. It prints as nothing and counts as false; using it otherwise is an error.</summary>
/// <param name="Problem">What the error says.</param>
internal sealed record Undefined(string Problem);

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

/// <summary>A dictionary, in the order of insertion.</summary>
internal sealed class JinjaDict(bool isInput = false)
{
    private readonly OrderedDictionary<object, object?> _items = new(PythonEquality.Instance);

    public bool IsInput => isInput;

    public int Count => _items.Count;

    public IEnumerable<object?> Keys => _items.Keys.Select(Unwrap);

    public IEnumerable<object?> Values => _items.Values;

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
internal sealed class JinjaGenerator(IEnumerable<object?> items) : IEnumerable<object?>
{
    private IEnumerator<object?>? _items = items.GetEnumerator();

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

/// <summary>Equality and hashes of keys as in Python: 1, 1.0 and True are one key.</summary>
internal sealed class PythonEquality : IEqualityComparer<object>
{
    public static readonly PythonEquality Instance = new();

    public new bool Equals(object? x, object? y) => PythonCompare.AreEqual(x, y);

    public int GetHashCode(object obj) => obj switch
    {
        bool flag => flag ? 1.GetHashCode() : 0.GetHashCode(),
        long integer => integer is >= int.MinValue and <= int.MaxValue ? ((int)integer).GetHashCode() : ((double)integer).GetHashCode(),
        BigInteger big => ((double)big).GetHashCode(),
        double number => number == Math.Floor(number) && Math.Abs(number) <= int.MaxValue ? ((int)number).GetHashCode() : number.GetHashCode(),
        string text => text.GetHashCode(StringComparison.Ordinal),
        JinjaTuple tuple => tuple.Items.Aggregate(17, (hash, item) => HashCode.Combine(hash, item is null ? 0 : GetHashCode(item))),
        _ => obj.GetHashCode(),
    };
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
