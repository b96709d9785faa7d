namespace KQuant.Models.Templates;

/// <summary>Members, elements and slices of values.</summary>
internal static class JinjaMembers
{
    /// <summary><c>target.name</c>: a method first, then an element.</summary>
    public static object? GetAttribute(RenderContext context, object? target, string name)
    {
        context.Scan(name.Length);
        if (target is UndefinedValue undefined)
        {
            throw new TemplateException(undefined.Problem);
        }

        // The sandbox of Python's jinja2 hides these as well.
        if (name.StartsWith('_'))
        {
            return Missing(target, name);
        }

        return JinjaMethods.Find(target, name) ?? target switch
        {
            LoopState loop => loop.Get(name),
            JinjaNamespace space => space.Members.TryGetValue(name, out object? member) ? member : Missing(target, name),
            JinjaDict dict => dict.TryGet(name, out object? element) ? element : Missing(target, name),
            Macro macro when name == "name" => macro.Name,
            Macro macro when name == "arguments" => new JinjaTuple([.. macro.Body.Parameters.Select(parameter => parameter.Name)]),
            _ => Missing(target, name),
        };
    }

    /// <summary><c>target[key]</c>: an element first, then a method.</summary>
    public static object? GetItem(RenderContext context, object? target, object? key)
    {
        switch (target)
        {
            case UndefinedValue undefined:
                throw new TemplateException(undefined.Problem);
            case JinjaDict dict when key is not (JinjaList or JinjaDict) && dict.TryGet(context.Key(key), out object? value):
                return value;
            case string or JinjaList or JinjaTuple or JinjaRange when key is long or bool:
                long index = PythonNumbers.AsIndex(key, "an index");
                return Element(context, target, index) is (true, var element) ? element : Missing(target, key);
        }

        return key is string name ? GetAttribute(context, target, name) : Missing(target, key);
    }

    public static object? GetSlice(RenderContext context, object? target, object? start, object? stop, object? step)
    {
        if (target is UndefinedValue undefined)
        {
            throw new TemplateException(undefined.Problem);
        }

        if (target is not (string or JinjaList or JinjaTuple or JinjaRange))
        {
            throw new TemplateException($"'{PythonText.TypeName(target)}' object cannot be sliced");
        }

        if (target is string text && (step is null or 1L) && CodePoints.AreUnits(text))
        {
            context.Scan(text.Length);
            (long first, long end, _) = Bounds(text.Length, start, stop, null);
            return context.Charge(first < end ? text.Substring((int)first, (int)(end - first)) : "");
        }

        List<object?> items = context.ToList(target);
        var result = new List<object?>();
        foreach (int index in Indices(items.Count, start, stop, step))
        {
            context.Step();
            result.Add(items[index]);
        }

        return target switch
        {
            string => context.Charge(string.Concat(result)),
            JinjaTuple => new JinjaTuple([.. result]),
            _ => new JinjaList(result),
        };
    }

    private static IEnumerable<int> Indices(int count, object? start, object? stop, object? step)
    {
        (long from, long to, long by) = Bounds(count, start, stop, step);
        for (long i = from; by > 0 ? i < to : i > to; i += Math.Clamp(by, -1L - count, count + 1L))
        {
            yield return (int)i;
        }
    }

    private static (long From, long To, long By) Bounds(int count, object? start, object? stop, object? step)
    {
        const string what = "a slice";
        long by = step is null ? 1 : PythonNumbers.AsIndex(step, what);
        if (by == 0)
        {
            throw new TemplateException("slice step cannot be zero");
        }

        long low = by > 0 ? 0 : -1, high = by > 0 ? count : count - 1;
        long Bound(object? value, long standard)
        {
            if (value is null)
            {
                return standard;
            }

            long index = PythonNumbers.AsIndex(value, what);
            return Math.Clamp(index < 0 ? Math.Max(index, -1L - count) + count : index, low, high);
        }

        return (Bound(start, by > 0 ? low : high), Bound(stop, by > 0 ? high : low), by);
    }

    private static (bool Found, object? Value) Element(RenderContext context, object target, long index)
    {
        if (target is string text)
        {
            context.Scan(text.Length);
            if (!CodePoints.AreUnits(text))
            {
                context.Work(text.Length);
                index += index < 0 ? CodePoints.Count(text) : 0;
                return index >= 0 && CodePoints.At(text, index) is string point ? (true, point) : (false, null);
            }
        }

        int count = target switch { string { Length: int length } => length, JinjaList list => list.Items.Count, JinjaTuple tuple => tuple.Items.Length, _ => ((JinjaRange)target).Count };
        index += index < 0 ? count : 0;
        if (index < 0 || index >= count)
        {
            return (false, null);
        }

        return (true, target switch
        {
            string plain => CodePoints.OfUnit(plain[(int)index]),
            JinjaList list => list.Items[(int)index],
            JinjaTuple tuple => tuple.Items[index],
            _ => ((JinjaRange)target)[(int)index],
        });
    }

    private static UndefinedValue Missing(object? target, object? key) => new(key is string name
        ? $"'{PythonText.TypeName(target)} object' has no attribute '{Codecs.Files.Printable.Shorten(name)}'"
        : $"{PythonText.TypeName(target)} object has no such element");
}
