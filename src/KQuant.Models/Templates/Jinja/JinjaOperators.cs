using System.Text;

namespace KQuant.Models.Templates;

/// <summary>Operators on two values.</summary>
internal static class JinjaOperators
{
    public static object? Apply(RenderContext context, string sign, object? x, object? y)
    {
        if (PythonNumbers.IsNumber(x) && PythonNumbers.IsNumber(y))
        {
            return PythonNumbers.Calculate(context, sign, x!, y!);
        }

        return (sign, x, y) switch
        {
            ("%", string format, _) => context.Charge(PythonFormat.Percent(context, format, y)),
            (_, UndefinedValue undefined, _) => throw new TemplateException(undefined.Problem),
            (_, _, UndefinedValue undefined) => throw new TemplateException(undefined.Problem),
            ("+", string a, string b) => Concatenate(context, a, b),
            ("+", JinjaList a, JinjaList b) => Join(context, a.Items, b.Items),
            ("+", JinjaTuple a, JinjaTuple b) => new JinjaTuple([.. Join(context, a.Items, b.Items).Items]),
            ("*", string or JinjaList or JinjaTuple, long or bool) => Repeat(context, x, PythonNumbers.AsIndex(y, "*")),
            ("*", long or bool, string or JinjaList or JinjaTuple) => Repeat(context, y, PythonNumbers.AsIndex(x, "*")),
            ("+", string, _) => throw new TemplateException($"can only concatenate str (not \"{PythonText.TypeName(y)}\") to str"),
            ("+", JinjaList, _) => throw new TemplateException($"can only concatenate list (not \"{PythonText.TypeName(y)}\") to list"),
            _ => throw new TemplateException(
                $"unsupported operand type(s) for {sign}: '{PythonText.TypeName(x)}' and '{PythonText.TypeName(y)}'"),
        };
    }

    /// <summary>An operator on values that may be <see cref="Markup"/>.</summary>
    public static object? ApplyMarked(RenderContext context, string sign, object? x, object? y) => (sign, x, y) switch
    {
        ("+", Markup, Markup or string) or ("+", string, Markup) => new Markup(Concatenate(context, Escaped(x), Escaped(y))),
        ("*", Markup, long or bool) or ("*", long or bool, Markup) =>
            new Markup((string)Apply(context, sign, Markup.Unwrap(x), Markup.Unwrap(y))!),
        ("%", Markup format, JinjaTuple values) =>
            new Markup(context.Charge(PythonFormat.Percent(context, format.Text, new JinjaTuple([.. values.Items.Select(EscapedValue)])))),
        ("%", Markup format, _) => new Markup(context.Charge(PythonFormat.Percent(context, format.Text, EscapedValue(y)))),
        _ => Apply(context, sign, Markup.Unwrap(x), Markup.Unwrap(y)),
    };

    public static bool Compare(RenderContext context, string sign, object? x, object? y) => sign switch
    {
        "==" => PythonCompare.AreEqual(context, x, y),
        "!=" => !PythonCompare.AreEqual(context, x, y),
        "in" => PythonCompare.Contains(context, y, x),
        "not in" => !PythonCompare.Contains(context, y, x),
        "<" => PythonCompare.Order(context, x, y, sign) < 0,
        ">" => PythonCompare.Order(context, x, y, sign) > 0,
        "<=" => PythonCompare.Order(context, x, y, sign) <= 0,
        _ => PythonCompare.Order(context, x, y, sign) >= 0,
    };

    private static string Escaped(object? value) => value is Markup marked ? marked.Text : Markup.Escape((string)value!);

    private static object? EscapedValue(object? value) => value is Markup or string ? Escaped(value) : value;

    private static string Concatenate(RenderContext context, string a, string b)
    {
        RenderContext.CheckSize((long)a.Length + b.Length);
        context.Allocate(sizeof(char) * ((long)a.Length + b.Length));
        return context.Charge(a + b);
    }

    private static JinjaList Join(RenderContext context, IReadOnlyCollection<object?> a, IReadOnlyCollection<object?> b)
    {
        context.Elements((long)a.Count + b.Count);
        return new JinjaList([.. a, .. b]);
    }

    private static object? Repeat(RenderContext context, object? value, long count)
    {
        count = Math.Max(0, count);
        IReadOnlyList<object?> items = value switch { JinjaList list => list.Items, JinjaTuple tuple => tuple.Items, _ => [] };
        int length = value is string { Length: int characters } ? characters : items.Count;
        RenderContext.CheckSize(length == 0 ? 0 : checked((long)Math.Min(count, int.MaxValue) * length));
        if (value is string text)
        {
            context.Allocate(sizeof(char) * (length == 0 ? 0 : count * length));
            context.Step(length == 0 ? 0 : count);
            return context.Charge(length == 0 ? "" : new StringBuilder((int)(count * length)).Insert(0, text, (int)count).ToString());
        }

        context.Elements(items.Count == 0 ? 0 : count * items.Count);
        List<object?> result = items.Count == 0 ? [] : [.. Enumerable.Repeat(items, (int)count).SelectMany(part => part)];
        return value is JinjaTuple ? new JinjaTuple([.. result]) : new JinjaList(result);
    }
}
