using System.Runtime.CompilerServices;

namespace KQuant.Models.Templates;

/// <summary>Python's <c>==</c>, <c>&lt;</c> and <c>in</c>.</summary>
internal static class PythonCompare
{
    public static bool AreEqual(object? x, object? y)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (ReferenceEquals(x, y))
        {
            return true;
        }

        if (PythonNumbers.IsNumber(x) && PythonNumbers.IsNumber(y))
        {
            return PythonNumbers.Compare(x!, y!) == 0;
        }

        return (x, y) switch
        {
            (string a, string b) => a == b,
            (JinjaList a, JinjaList b) => a.Items.Count == b.Items.Count && !a.Items.Where((item, i) => !AreEqual(item, b.Items[i])).Any(),
            (JinjaTuple a, JinjaTuple b) => a.Items.Length == b.Items.Length && !a.Items.Where((item, i) => !AreEqual(item, b.Items[i])).Any(),
            (JinjaDict a, JinjaDict b) => a.Count == b.Count
                && a.Pairs.All(pair => b.TryGet(pair.Items[0], out object? other) && AreEqual(pair.Items[1], other)),
            (JinjaRange a, JinjaRange b) => a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step))),
            (Undefined, Undefined) => true,
            _ => false,
        };
    }

    /// <summary>The order of two values of one kind; an error for others.</summary>
    /// <returns>Less than, equal to or greater than zero; null if one is no number in the sense of IEEE 754.</returns>
    public static int? Order(object? x, object? y, string sign)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (PythonNumbers.IsNumber(x) && PythonNumbers.IsNumber(y))
        {
            return PythonNumbers.Compare(x!, y!);
        }

        return (x, y) switch
        {
            (string a, string b) => CodePoints.Compare(a, b),
            (JinjaList a, JinjaList b) => Order(a.Items, b.Items, sign),
            (JinjaTuple a, JinjaTuple b) => Order(a.Items, b.Items, sign),
            (Undefined undefined, _) => throw new TemplateException(undefined.Problem),
            (_, Undefined undefined) => throw new TemplateException(undefined.Problem),
            _ => throw new TemplateException(
                $"'{sign}' not supported between instances of '{PythonText.TypeName(x)}' and '{PythonText.TypeName(y)}'"),
        };
    }

    public static bool Contains(RenderContext context, object? container, object? item)
    {
        switch (container)
        {
            case string text:
                context.Step(1 + (text.Length / 16));
                return item is string part
                    ? text.Contains(part, StringComparison.Ordinal)
                    : throw new TemplateException($"'in <string>' requires string as left operand, not {PythonText.TypeName(item)}");
            case JinjaDict dict:
                return dict.TryGet(item, out _);
            case Undefined:
                return false;
            case JinjaList or JinjaTuple or JinjaRange or JinjaView or JinjaGenerator:
                foreach (object? other in context.Iterate(container))
                {
                    if (AreEqual(other, item))
                    {
                        return true;
                    }
                }

                return false;
            default:
                throw new TemplateException($"argument of type '{PythonText.TypeName(container)}' is not iterable");
        }
    }

    private static int? Order(IReadOnlyList<object?> a, IReadOnlyList<object?> b, string sign)
    {
        for (int i = 0; i < Math.Min(a.Count, b.Count); i++)
        {
            if (!AreEqual(a[i], b[i]))
            {
                return Order(a[i], b[i], sign);
            }
        }

        return a.Count.CompareTo(b.Count);
    }
}
