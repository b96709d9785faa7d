namespace KQuant.Models.Templates;

/// <summary>The methods of strings, dictionaries and lists.</summary>
internal static class JinjaMethods
{
    /// <summary>A method of a value, bound to it; null if it has none of that name.</summary>
    public static JinjaCallable? Find(object? target, string name)
    {
        Func<RenderContext, CallArguments, object?>? body = target switch
        {
            string text => StringMethods.Find(text, name),
            JinjaDict dict => OfDict(dict, name),
            JinjaList list => OfList(list, name),
            JinjaTuple tuple => OfSequence(tuple.Items, name),
            _ => null,
        };
        return body is null ? null : new JinjaFunction(name, body);
    }

    private static Func<RenderContext, CallArguments, object?>? OfDict(JinjaDict dict, string name)
    {
        return name switch
        {
            "items" => (context, _) => new JinjaView("dict_items", [.. Pairs(context, dict)]),
            "keys" => (context, _) => new JinjaView("dict_keys", Charged(context, dict, dict.Keys)),
            "values" => (context, _) => new JinjaView("dict_values", Charged(context, dict, dict.Values)),
            "get" => (context, arguments) => dict.TryGet(context.Key(arguments[0, "key"]), out object? value) ? value : arguments.Get(1, "default", null),
            "copy" => (context, _) => Copy(context, dict),
            "update" => Update,
            "pop" => Pop,
            "setdefault" => SetDefault,
            "clear" => Clear,
            _ => null,
        };

        object? Update(RenderContext context, CallArguments arguments)
        {
            Own(dict.IsInput, name);
            if (arguments.Positional.Count > 0)
            {
                JinjaDict other = arguments.Positional[0] as JinjaDict ?? throw new TemplateException("update() needs a dictionary");
                foreach (JinjaTuple pair in Pairs(context, other))
                {
                    dict[context.Entry(pair.Items[0])] = pair.Items[1];
                }
            }

            arguments.Named.ForEach(argument => dict[context.Entry(argument.Name)] = argument.Value);
            return null;
        }

        object? Pop(RenderContext context, CallArguments arguments)
        {
            Own(dict.IsInput, name);

            // What comes behind it moves up.
            context.Step(dict.Count / 2);
            if (!dict.TryGet(context.Key(arguments[0, "key"]), out object? value))
            {
                return arguments.TryGet(1, "default", out value) ? value : throw new TemplateException("pop() of a key that is not there");
            }

            dict.Remove(arguments[0, "key"]);
            return value;
        }

        object? SetDefault(RenderContext context, CallArguments arguments)
        {
            Own(dict.IsInput, name);
            if (!dict.TryGet(context.Entry(arguments[0, "key"]), out object? value))
            {
                dict[arguments[0, "key"]] = value = arguments.Get(1, "default", null);
            }

            return value;
        }

        object? Clear(RenderContext context, CallArguments _)
        {
            Own(dict.IsInput, name);
            context.Step(dict.Count / 8);
            dict.Clear();
            return null;
        }
    }

    private static Func<RenderContext, CallArguments, object?>? OfList(JinjaList list, string name)
    {
        return name switch
        {
            "append" => Append,
            "extend" => Extend,
            "insert" => Insert,
            "pop" => Pop,
            "reverse" => Reverse,
            "copy" => (context, _) => new JinjaList(context.ToList(list)),
            _ => OfSequence(list.Items, name),
        };

        object? Append(RenderContext context, CallArguments arguments)
        {
            Own(list.IsInput, name);
            context.Elements(1);
            RenderContext.CheckSize(list.Items.Count + 1L);
            list.Items.Add(arguments[0, "object"]);
            return null;
        }

        object? Extend(RenderContext context, CallArguments arguments)
        {
            Own(list.IsInput, name);
            list.Items.AddRange(context.ToList(arguments[0, "iterable"]));
            return null;
        }

        object? Insert(RenderContext context, CallArguments arguments)
        {
            Own(list.IsInput, name);
            long at = arguments.Integer(0, "index", 0);
            context.Elements(1);
            context.Step(list.Items.Count / 16);
            list.Items.Insert((int)Math.Clamp(at < 0 ? at + list.Items.Count : at, 0, list.Items.Count), arguments[1, "object"]);
            return null;
        }

        object? Pop(RenderContext context, CallArguments arguments)
        {
            Own(list.IsInput, name);
            long at = arguments.Integer(0, "index", -1);
            at += at < 0 ? list.Items.Count : 0;
            if (at < 0 || at >= list.Items.Count)
            {
                throw new TemplateException(list.Items.Count == 0 ? "pop from empty list" : "pop index out of range");
            }

            context.Step(list.Items.Count / 16);
            object? value = list.Items[(int)at];
            list.Items.RemoveAt((int)at);
            return value;
        }

        object? Reverse(RenderContext context, CallArguments __)
        {
            Own(list.IsInput, name);
            context.Step(list.Items.Count);
            list.Items.Reverse();
            return null;
        }
    }

    private static Func<RenderContext, CallArguments, object?>? OfSequence(IReadOnlyList<object?> items, string name)
    {
        return name switch
        {
            "index" => Index,
            "count" => Count,
            _ => null,
        };

        object? Index(RenderContext context, CallArguments arguments)
        {
            int at = items.TakeWhile(item => !PythonCompare.AreEqual(context, item, arguments[0, "value"])).Count();
            return at < items.Count ? (long)at : throw new TemplateException("the value of index() is not in the list");
        }

        object? Count(RenderContext context, CallArguments arguments)
        {
            return (long)items.Count(item => PythonCompare.AreEqual(context, item, arguments[0, "value"]));
        }
    }

    private static JinjaDict Copy(RenderContext context, JinjaDict dict)
    {
        var copy = new JinjaDict();
        foreach ((object? key, object? value) in dict.Entries)
        {
            copy[context.Entry(key)] = value;
        }

        return copy;
    }

    private static List<object?> Charged(RenderContext context, JinjaDict dict, IEnumerable<object?> items)
    {
        context.Elements(dict.Count);
        return [.. items];
    }

    private static List<JinjaTuple> Pairs(RenderContext context, JinjaDict dict)
    {
        const int bytesOfPair = 96;
        context.Step(dict.Count);
        context.Elements(dict.Count, bytesOfPair);
        return [.. dict.Pairs];
    }

    private static void Own(bool isInput, string name)
    {
        if (isInput)
        {
            throw new TemplateException($"{name}() would change a variable that does not belong to the template");
        }
    }
}
