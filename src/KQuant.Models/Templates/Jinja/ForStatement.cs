using System.Text;

namespace KQuant.Models.Templates;

/// <summary><c>{% for target in items if test recursive %}...{% else %}...{% endfor %}</c>.</summary>
internal sealed class ForStatement(
    int line, Expression target, Expression items, Expression? test, bool isRecursive, Statement body, Statement? otherwise) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        Run(context, scope, output, context.Evaluate(items, scope), 0);
        return Flow.Next;
    }

    private void Run(RenderContext context, Scope scope, StringBuilder output, object? value, int depth)
    {
        List<object?> values;
        try
        {
            values = context.ToList(value);
        }
        catch (TemplateException exception) when (exception.Line == 0)
        {
            throw new TemplateException(exception.Message, Line);
        }

        if (test is not null)
        {
            values.RemoveAll(item =>
            {
                context.Step();
                var inner = new Scope(scope);
                Targets.Assign(context, inner, target, item);
                return !PythonText.IsTrue(context.Evaluate(test, inner));
            });
        }

        if (values.Count == 0)
        {
            otherwise?.Execute(context, new Scope(scope), output);
            return;
        }

        var loop = new LoopState(values, depth, isRecursive ? Recurse : null);
        for (; loop.Index < values.Count; loop.Index++)
        {
            // A place of its own for each element takes longer than most expressions.
            context.Step(3);
            var inner = new Scope(scope);
            inner["loop"] = loop;
            Targets.Assign(context, inner, target, values[loop.Index]);
            if (body.Execute(context, inner, output) == Flow.Break)
            {
                break;
            }
        }

        string Recurse(RenderContext recursion, object? inner)
        {
            var text = new StringBuilder();
            recursion.EnterMacro("loop");
            Run(recursion, scope, text, inner, depth + 1);
            recursion.LeaveMacro();
            return recursion.Charge(text.ToString());
        }
    }
}

/// <summary>The <c>loop</c> of a template.</summary>
internal sealed class LoopState(List<object?> items, int depth, Func<RenderContext, object?, string>? recurse) : JinjaCallable
{
    private CallArguments? _lastChanged;

    public int Index { get; set; }

    public override string Name => "loop";

    public override object? Call(RenderContext context, CallArguments arguments) => recurse is null
        ? throw new TemplateException("the loop must have the 'recursive' marker to be called recursively")
        : recurse(context, arguments[0, "iterable"]);

    /// <summary>A member such as <c>index</c>; undefined for others.</summary>
    public object? Get(string name) => name switch
    {
        "index" => (long)Index + 1,
        "index0" => (long)Index,
        "revindex" => (long)items.Count - Index,
        "revindex0" => (long)items.Count - Index - 1,
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "length" => (long)items.Count,
        "depth" => (long)depth + 1,
        "depth0" => (long)depth,
        "previtem" => Index > 0 ? items[Index - 1] : new UndefinedValue("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new UndefinedValue("there is no next item"),
        "cycle" => new JinjaFunction("cycle", (_, arguments) => arguments.Positional.Count > 0
            ? arguments.Positional[Index % arguments.Positional.Count]
            : throw new TemplateException("no items for cycling given")),
        "changed" => new JinjaFunction("changed", (context, arguments) =>
        {
            bool same = _lastChanged is not null && PythonCompare.AreEqual(
                context,
                new JinjaTuple([.. _lastChanged.Positional]), new JinjaTuple([.. arguments.Positional]));
            _lastChanged = arguments;
            return !same;
        }),
        _ => new UndefinedValue($"'LoopContext object' has no attribute '{name}'"),
    };
}
