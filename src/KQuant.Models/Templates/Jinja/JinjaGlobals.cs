namespace KQuant.Models.Templates;

/// <summary>The functions that every template sees.</summary>
internal static class JinjaGlobals
{
    private const int MaxRange = 100_000;

    /// <summary>A scope with the functions.</summary>
    public static Scope Create()
    {
        var scope = new Scope(null);
        Add(scope, "range", (_, arguments) => Range(arguments));
        Add(scope, "dict", (context, arguments) =>
        {
            var dict = new JinjaDict();
            if (arguments.Positional is [JinjaDict source, ..])
            {
                foreach ((object? key, object? value) in source.Entries)
                {
                    dict[context.Entry(key)] = value;
                }
            }
            else if (arguments.Positional is [object pairs, ..])
            {
                foreach (object? pair in context.Iterate(pairs))
                {
                    List<object?> items = context.ToList(pair);
                    dict[context.Entry(items.Count == 2 ? items[0] : throw new TemplateException("dict() needs pairs"))] = items[1];
                }
            }

            arguments.Named.ForEach(argument => dict[context.Entry(argument.Name)] = argument.Value);
            return dict;
        });
        Add(scope, "namespace", (context, arguments) =>
        {
            context.Elements(arguments.Named.Count, 64);
            var space = new JinjaNamespace();
            if (arguments.Positional is [JinjaDict source, ..])
            {
                context.Elements(source.Count, 64);
                foreach ((object? key, object? value) in source.Entries)
                {
                    space.Members[key as string ?? throw new TemplateException("namespace() needs names")] = value;
                }
            }

            arguments.Named.ForEach(argument => space.Members[argument.Name] = argument.Value);
            return space;
        });
        Add(scope, "cycler", (_, arguments) => Cycler(arguments.Positional));
        Add(scope, "joiner", (_, arguments) =>
        {
            string separator = arguments.Text(0, "sep", ", ");
            bool used = false;
            return new JinjaFunction("joiner", (_, _) =>
            {
                string result = used ? separator : "";
                used = true;
                return result;
            });
        });
        Add(scope, "raise_exception", (context, arguments) => throw new TemplateException(
            PythonText.ToText(context, arguments[0, "message"]), raisedByTemplate: true));
        Add(scope, "strftime_now", (context, arguments) =>
        {
            string format = arguments.Text(0, "format");
            context.Step(2L * format.Length);
            context.Allocate(32L * format.Length);
            return context.Charge(PythonFormat.Time(context.Clock.GetLocalNow(), format));
        });
        return scope;
    }

    private static void Add(Scope scope, string name, Func<RenderContext, CallArguments, object?> body) => scope[name] = new JinjaFunction(name, body);

    private static JinjaRange Range(CallArguments arguments)
    {
        arguments.AtMost(3);
        long first = arguments.Integer(0, "stop", 0);
        JinjaRange range = arguments.Positional.Count < 2
            ? new JinjaRange(0, first, 1)
            : new JinjaRange(first, arguments.Integer(1, "stop", 0), arguments.Integer(2, "step", 1));
        if (range.Step == 0)
        {
            throw new TemplateException("range() arg 3 must not be zero");
        }

        Int128 distance = range.Step > 0 ? (Int128)range.Stop - range.Start : (Int128)range.Start - range.Stop;
        Int128 step = Int128.Abs(range.Step);
        return distance <= 0 ? range with { Stop = range.Start }
            : (distance + step - 1) / step <= MaxRange ? range
            : throw new TemplateException($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MaxRange}).");
    }

    private static JinjaNamespace Cycler(List<object?> items)
    {
        if (items.Count == 0)
        {
            throw new TemplateException("at least one item has to be provided");
        }

        var cycler = new JinjaNamespace();
        int at = 0;
        void Show() => cycler.Members["current"] = items[at];
        Show();
        cycler.Members["next"] = new JinjaFunction("next", (_, _) =>
        {
            object? current = items[at];
            at = (at + 1) % items.Count;
            Show();
            return current;
        });
        cycler.Members["reset"] = new JinjaFunction("reset", (_, _) =>
        {
            at = 0;
            Show();
            return null;
        });
        return cycler;
    }
}
