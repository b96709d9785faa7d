using System.Globalization;

namespace KQuant.Models.Templates;

/// <summary>Filters of lists.</summary>
internal static partial class JinjaFilters
{
    /// <summary>A member by a name such as <c>a.b.0</c>, as filters take it.</summary>
    private static object? Attribute(RenderContext context, object? item, object? path)
    {
        if (path is not string text)
        {
            return JinjaMembers.GetItem(context, item, path);
        }

        context.Elements(text.Length);
        foreach (string part in text.Split('.'))
        {
            item = JinjaMembers.GetItem(
                context,
                item, long.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out long index) ? index : part);
        }

        return item;
    }

    /// <summary>What filters sort by: without regard to case unless they are told otherwise.</summary>
    private static object? SortKey(RenderContext context, object? item, object? attribute, bool caseSensitive)
    {
        object? key = attribute is null ? item : Attribute(context, item, attribute);
        if (caseSensitive || key is not string text)
        {
            return key;
        }

        context.Work(text.Length);
        context.Allocate(2 * sizeof(char) * (long)text.Length);
        return CodePoints.Lower(text);
    }

    private static List<object?> Sorted(RenderContext context, List<object?> items, Func<object?, object?> key, bool reverse)
    {
        context.Elements(items.Count, 48);
        context.Step(items.Count * 4L);
        List<(object? Key, object? Item)> keyed = items.ConvertAll(item => (key(item), item));
        var order = Comparer<object?>.Create((x, y) =>
        {
            context.Step();
            return PythonCompare.Order(context, x, y, "<") ?? 0;
        });
        try
        {
            return [.. (reverse ? keyed.OrderByDescending(pair => pair.Key, order) : keyed.OrderBy(pair => pair.Key, order)).Select(pair => pair.Item)];
        }
        catch (InvalidOperationException exception) when (exception.InnerException is TemplateException inner)
        {
            throw inner;
        }
    }

    private static JinjaList Sort(RenderContext context, object? value, CallArguments arguments)
    {
        bool caseSensitive = arguments.Flag(1, "case_sensitive", false);
        object? attribute = arguments.Get(2, "attribute", null);
        object? Key(object? item)
        {
            if (attribute is string names && names.Contains(','))
            {
                context.Elements(names.Length);
                return new JinjaTuple([.. names.Split(',').Select(name => SortKey(context, item, name.Trim(), caseSensitive))]);
            }

            return SortKey(context, item, attribute, caseSensitive);
        }

        return new JinjaList(Sorted(context, context.ToList(value), Key, arguments.Flag(0, "reverse", false)));
    }

    private static List<JinjaTuple> Pairs(RenderContext context, JinjaDict dict)
    {
        const int bytesOfPair = 96;
        context.Step(dict.Count);
        context.Elements(dict.Count, bytesOfPair);
        return [.. dict.Pairs];
    }

    private static JinjaList DictSort(RenderContext context, object? value, CallArguments arguments)
    {
        JinjaDict dict = value as JinjaDict
            ?? throw new TemplateException(value is UndefinedValue undefined ? undefined.Problem : "dictsort needs a mapping");
        bool caseSensitive = arguments.Flag(0, "case_sensitive", false);
        int by = arguments.Text(1, "by", "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw new TemplateException("You can only sort by either \"key\" or \"value\""),
        };
        return new JinjaList(Sorted(
            context,
            [.. Pairs(context, dict)],
            item => SortKey(context, ((JinjaTuple)item!).Items[by], null, caseSensitive),
            arguments.Flag(2, "reverse", false)));
    }

    private static object? Extreme(RenderContext context, object? value, CallArguments arguments, int sign)
    {
        bool caseSensitive = arguments.Flag(0, "case_sensitive", false);
        object? attribute = arguments.Get(1, "attribute", null);
        List<object?> items = context.ToList(value);
        if (items.Count == 0)
        {
            return new UndefinedValue("No aggregated item, sequence was empty.");
        }

        object? best = items[0];
        foreach (object? item in items.Skip(1))
        {
            int? order = PythonCompare.Order(
                context, SortKey(context, item, attribute, caseSensitive), SortKey(context, best, attribute, caseSensitive), sign > 0 ? ">" : "<");
            best = order * sign > 0 ? item : best;
        }

        return best;
    }

    private static IEnumerable<object?> Unique(RenderContext context, object? value, CallArguments arguments)
    {
        bool caseSensitive = arguments.Flag(0, "case_sensitive", false);
        object? attribute = arguments.Get(1, "attribute", null);
        var seen = new JinjaDict();
        foreach (object? item in context.Iterate(value))
        {
            context.Step();
            object? key = context.Entry(SortKey(context, item, attribute, caseSensitive));
            if (!seen.TryGet(key, out _))
            {
                seen[key] = true;
                yield return item;
            }
        }
    }

    private static IEnumerable<object?> Items(RenderContext context, object? value)
    {
        if (value is UndefinedValue)
        {
            yield break;
        }

        JinjaDict dict = value as JinjaDict ?? throw new TemplateException("Can only get item pairs from a mapping.");
        foreach (JinjaTuple pair in Pairs(context, dict))
        {
            context.Step();
            yield return pair;
        }
    }

    private static IEnumerable<object?> Map(RenderContext context, object? value, CallArguments arguments)
    {
        // What is false, None included, has no elements to the filters that look at each.
        if (!PythonText.IsTrue(value))
        {
            yield break;
        }

        if (arguments.Positional.Count == 0)
        {
            object? path = arguments[0, "attribute"];
            bool hasDefault = arguments.TryGet(1, "default", out object? standard);
            foreach (object? item in context.Iterate(value))
            {
                context.Step();
                object? result = Attribute(context, item, path);
                yield return hasDefault && result is UndefinedValue ? standard : result;
            }

            yield break;
        }

        string filter = arguments.Text(0, "filter");
        var rest = new CallArguments(filter, arguments.Positional[1..], arguments.Named);
        foreach (object? item in context.Iterate(value))
        {
            context.Step();
            yield return Apply(context, filter, item, rest);
        }
    }

    private static IEnumerable<object?> Select(RenderContext context, object? value, CallArguments arguments, bool byAttribute, bool wanted)
    {
        if (!PythonText.IsTrue(value))
        {
            yield break;
        }

        int test = byAttribute ? 1 : 0;
        object? path = byAttribute ? arguments[0, "attribute"] : null;
        string? name = arguments.Positional.Count > test
            ? arguments.Positional[test] as string ?? throw new TemplateException("the name of a test is a string")
            : null;
        var rest = new CallArguments(name ?? "", [.. arguments.Positional.Skip(test + 1)], arguments.Named);
        foreach (object? item in context.Iterate(value))
        {
            context.Step();
            object? subject = byAttribute ? Attribute(context, item, path) : item;
            bool holds = name is null ? PythonText.IsTrue(subject) : JinjaTests.Check(context, name, subject, rest);
            if (holds == wanted)
            {
                yield return item;
            }
        }
    }

    private static JinjaList GroupBy(RenderContext context, object? value, CallArguments arguments)
    {
        object? attribute = arguments[0, "attribute"];
        bool hasDefault = arguments.TryGet(1, "default", out object? standard);
        bool caseSensitive = arguments.Flag(2, "case_sensitive", false);
        object? Raw(object? item) => Attribute(context, item, attribute) is var found && found is UndefinedValue && hasDefault ? standard : found;
        object? Key(object? item) => SortKey(context, Raw(item), null, caseSensitive);
        var groups = new List<object?>();
        object? last = null;
        List<object?>? group = null;
        foreach (object? item in Sorted(context, context.ToList(value), Key, reverse: false))
        {
            object? key = Key(item);
            if (group is null || !PythonCompare.AreEqual(context, key, last))
            {
                group = [];
                groups.Add(new JinjaTuple([Raw(item), new JinjaList(group)]));
                last = key;
            }

            group.Add(item);
        }

        return new JinjaList(groups);
    }

    private static object Sum(RenderContext context, object? value, CallArguments arguments)
    {
        object? attribute = arguments.Get(0, "attribute", null);
        object? total = arguments.Get(1, "start", 0L);
        foreach (object? item in context.Iterate(value))
        {
            context.Step();
            total = JinjaOperators.Apply(context, "+", total, attribute is null ? item : Attribute(context, item, attribute));
        }

        return total!;
    }

    private static JinjaGenerator Batch(RenderContext context, object? value, CallArguments arguments)
    {
        int size = (int)Math.Clamp(arguments.Integer(0, "linecount", 0), 1, int.MaxValue);
        object? fill = arguments.Get(1, "fill_with", null);
        List<object?> all = context.ToList(value);
        context.Elements(all.Count, 64);
        List<JinjaList> lines = [.. all.Chunk(size).Select(line => new JinjaList([.. line]))];
        if (fill is not null && lines.Count > 0)
        {
            context.Elements(size);
            context.Step(size);
            while (lines[^1].Items.Count < size)
            {
                lines[^1].Items.Add(fill);
            }
        }

        return new JinjaGenerator(lines, null);
    }

    private static JinjaGenerator Slices(RenderContext context, object? value, CallArguments arguments)
    {
        int count = (int)Math.Clamp(arguments.Integer(0, "slices", 1), 1, 100_000);
        bool fills = arguments.TryGet(1, "fill_with", out object? fill) && fill is not null;
        List<object?> items = context.ToList(value);
        context.Step(count);
        context.Elements((long)count + items.Count, 64);
        int each = items.Count / count, extra = items.Count % count, at = 0;
        var slices = new List<object?>();
        for (int i = 0; i < count; i++)
        {
            int length = each + (i < extra ? 1 : 0);
            List<object?> slice = items.GetRange(at, length);
            at += length;
            if (fills && i >= extra)
            {
                slice.Add(fill);
            }

            slices.Add(new JinjaList(slice));
        }

        return new JinjaGenerator(slices, null);
    }
}
