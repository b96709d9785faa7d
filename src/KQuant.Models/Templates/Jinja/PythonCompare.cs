using System.Runtime.CompilerServices;

namespace KQuant.Models.Templates;

/// <summary>Python's <c>==</c>, <c>&lt;</c> and <c>in</c>.</summary>
internal static class PythonCompare
{
    /// <summary>Whether two values are equal.</summary>
    /// <param name="context">Is charged for each value that is looked at: what lists share they are compared by again and again. Null where a
    /// dictionary compares keys, which are charged before.</param>
    /// <param name="x">A value.</param>
    /// <param name="y">The other.</param>
    public static bool AreEqual(RenderContext? context, object? x, object? y)
    {
        context?.Step();
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (ReferenceEquals(x, y))
        {
            return true;
        }

        if (PythonNumbers.IsNumber(x) && PythonNumbers.IsNumber(y))
        {
            return PythonNumbers.Compare(x!, y!) == 0;
        }

        switch (x, y)
        {
            case (string a, string b):
                if (a.Length != b.Length)
                {
                    return false;
                }

                context?.Scan(a.Length);
                return a == b;
            case (JinjaList a, JinjaList b):
                return AreEqual(context, a.Items, b.Items);
            case (JinjaTuple a, JinjaTuple b):
                return AreEqual(context, a.Items, b.Items);
            case (JinjaDict a, JinjaDict b):
                if (a.Count != b.Count)
                {
                    return false;
                }

                foreach ((object? key, object? value) in a.Entries)
                {
                    context?.Key(key);
                    if (!b.TryGet(key, out object? other) || !AreEqual(context, value, other))
                    {
                        return false;
                    }
                }

                return true;
            case (JinjaRange a, JinjaRange b):
                return a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step)));
            default:
                return x is UndefinedValue && y is UndefinedValue;
        }
    }

    /// <summary>The order of two values of one kind; an error for others.</summary>
    /// <returns>Less than, equal to or greater than zero; null if one is no number in the sense of IEEE 754.</returns>
    public static int? Order(RenderContext context, object? x, object? y, string sign)
    {
        context.Step();
        if (PythonNumbers.IsNumber(x) && PythonNumbers.IsNumber(y))
        {
            return PythonNumbers.Compare(x!, y!);
        }

        switch (x, y)
        {
            case (string a, string b):
                context.Work(Math.Min(a.Length, b.Length));
                return CodePoints.Compare(a, b);
            case (JinjaList a, JinjaList b):
                return Order(context, a.Items, b.Items, sign);
            case (JinjaTuple a, JinjaTuple b):
                return Order(context, a.Items, b.Items, sign);
            case (UndefinedValue undefined, _):
                throw new TemplateException(undefined.Problem);
            case (_, UndefinedValue undefined):
                throw new TemplateException(undefined.Problem);
            default:
                throw new TemplateException(
                    $"'{sign}' not supported between instances of '{PythonText.TypeName(x)}' and '{PythonText.TypeName(y)}'");
        }
    }

    public static bool Contains(RenderContext context, object? container, object? item)
    {
        switch (container)
        {
            case string text:
                return item is string part
                    ? TextSearch.IndexOf(context, text, part, 0) >= 0
                    : throw new TemplateException($"'in <string>' requires string as left operand, not {PythonText.TypeName(item)}");
            case JinjaDict dict:
                return dict.TryGet(context.Key(item), out _);
            case UndefinedValue:
                return false;
            case JinjaList or JinjaTuple or JinjaRange or JinjaView or JinjaGenerator:
                foreach (object? other in context.Iterate(container))
                {
                    if (AreEqual(context, other, item))
                    {
                        return true;
                    }
                }

                return false;
            default:
                throw new TemplateException($"argument of type '{PythonText.TypeName(container)}' is not iterable");
        }
    }

    private static bool AreEqual(RenderContext? context, IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        if (a.Count != b.Count)
        {
            return false;
        }

        for (int i = 0; i < a.Count; i++)
        {
            if (!AreEqual(context, a[i], b[i]))
            {
                return false;
            }
        }

        return true;
    }

    private static int? Order(RenderContext context, IReadOnlyList<object?> a, IReadOnlyList<object?> b, string sign)
    {
        for (int i = 0; i < Math.Min(a.Count, b.Count); i++)
        {
            if (!AreEqual(context, a[i], b[i]))
            {
                return Order(context, a[i], b[i], sign);
            }
        }

        return a.Count.CompareTo(b.Count);
    }
}
