using System.Text;

namespace KQuant.Models.Templates;

/// <summary>How a statement ended.</summary>
internal enum Flow
{
    Next,
    Break,
    Continue,
}

/// <summary>A part of a template that writes.</summary>
internal abstract class Statement(int line)
{
    public int Line => line;

    public abstract Flow Execute(RenderContext context, Scope scope, StringBuilder output);
}

/// <summary>Statements one after another.</summary>
internal sealed class Block(int line, List<Statement> statements) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        foreach (Statement statement in statements)
        {
            context.Step();
            if (statement.Execute(context, scope, output) is not Flow.Next and Flow flow)
            {
                return flow;
            }
        }

        return Flow.Next;
    }
}

internal sealed class TextOutput(int line, string text) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        context.Write(output, text);
        return Flow.Next;
    }
}

internal sealed class ValueOutput(int line, Expression value) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        context.Write(output, PythonText.ToText(context, context.Evaluate(value, scope)));
        return Flow.Next;
    }
}

internal sealed class IfStatement(int line, Expression test, Statement then, Statement? otherwise) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output) =>
        PythonText.IsTrue(context.Evaluate(test, scope)) ? then.Execute(context, scope, output)
        : otherwise?.Execute(context, scope, output) ?? Flow.Next;
}

internal sealed class Jump(int line, Flow flow) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output) => flow;
}

/// <summary><c>{% set target = value %}</c>.</summary>
internal sealed class SetStatement(int line, Expression target, Expression value) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        Targets.Assign(context, scope, target, context.Evaluate(value, scope, isMarked: target is Variable));
        return Flow.Next;
    }
}

/// <summary><c>{% set target %}...{% endset %}</c>, <c>{% filter name %}...{% endfilter %}</c>, <c>{% generation %}...{% endgeneration %}</c>.</summary>
internal sealed class CaptureStatement(int line, Expression? target, FilterCall? filter, Statement body) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        var captured = new StringBuilder();
        Flow flow = body.Execute(context, new Scope(scope), captured);
        object? value = context.Charge(captured.ToString());
        value = filter is null ? value : Markup.Unwrap(filter.Apply(context, scope, value, isRoot: true));
        if (target is null)
        {
            context.Write(output, PythonText.ToText(context, value));
        }
        else
        {
            Targets.Assign(context, scope, target, value);
        }

        return flow;
    }
}

/// <summary><c>{% with a = 1 %}...{% endwith %}</c>.</summary>
internal sealed class WithStatement(int line, List<(Expression Target, Expression Value)> values, Statement body) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        var inner = new Scope(scope);
        foreach ((Expression target, Expression value) in values)
        {
            Targets.Assign(context, inner, target, context.Evaluate(value, scope));
        }

        return body.Execute(context, inner, output);
    }
}

/// <summary>A parameter of a macro.</summary>
internal sealed record Parameter(string Name, Expression? Default);

/// <summary><c>{% macro name(parameters) %}...{% endmacro %}</c>.</summary>
internal sealed class MacroStatement(int line, string name, MacroBody body) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        // It keeps the variables of the place alive.
        context.Allocate(1024);
        scope[name] = new Macro(name, body, scope);
        return Flow.Next;
    }
}

/// <summary>What a macro is made of.</summary>
internal sealed record MacroBody(List<Parameter> Parameters, Statement Statement, bool UsesVarargs, bool UsesKwargs);

/// <summary>A macro with the place that it was defined at, whose variables it sees.</summary>
internal sealed class Macro(string name, MacroBody body, Scope defined) : JinjaCallable
{
    public override string Name => name;

    public MacroBody Body => body;

    public override object? Call(RenderContext context, CallArguments arguments)
    {
        var scope = new Scope(defined);
        context.Elements(arguments.Named.Count);
        context.Step((long)body.Parameters.Count * (1 + arguments.Named.Count) / 8);
        List<(string Name, object? Value)> named = [.. arguments.Named];
        for (int i = 0; i < body.Parameters.Count; i++)
        {
            (string parameter, Expression? standard) = (body.Parameters[i].Name, body.Parameters[i].Default);
            int given = named.FindIndex(argument => argument.Name == parameter);
            if (i < arguments.Positional.Count)
            {
                if (given >= 0)
                {
                    throw new TemplateException($"macro '{name}' got multiple values for argument '{parameter}'");
                }

                scope[parameter] = arguments.Positional[i];
            }
            else if (given >= 0)
            {
                scope[parameter] = named[given].Value;
                named.RemoveAt(given);
            }
            else
            {
                scope[parameter] = standard is null
                    ? new UndefinedValue($"parameter '{parameter}' was not provided")
                    : standard.Evaluate(context, scope);
            }
        }

        AddRest(context, scope, arguments, named);
        var output = new StringBuilder();
        context.EnterMacro(name);
        body.Statement.Execute(context, scope, output);
        context.LeaveMacro();
        return context.Charge(output.ToString());
    }

    private void AddRest(RenderContext context, Scope scope, CallArguments arguments, List<(string Name, object? Value)> named)
    {
        int caller = named.FindIndex(argument => argument.Name == "caller");
        if (caller >= 0)
        {
            scope["caller"] = named[caller].Value;
            named.RemoveAt(caller);
        }

        if (body.UsesVarargs)
        {
            context.Elements(arguments.Positional.Count);
            scope["varargs"] = new JinjaTuple([.. arguments.Positional.Skip(body.Parameters.Count)]);
        }
        else if (arguments.Positional.Count > body.Parameters.Count)
        {
            throw new TemplateException($"macro '{name}' takes not more than {body.Parameters.Count} argument(s)");
        }

        if (body.UsesKwargs)
        {
            var rest = new JinjaDict();
            named.ForEach(argument => rest[context.Entry(argument.Name)] = argument.Value);
            scope["kwargs"] = rest;
        }
        else if (named.Count > 0)
        {
            throw new TemplateException($"macro '{name}' takes no keyword argument '{named[0].Name}'");
        }
    }
}

/// <summary><c>{% call(parameters) name(arguments) %}...{% endcall %}</c>: the macro writes the body where it calls <c>caller()</c>.</summary>
internal sealed class CallStatement(int line, Expression target, ArgumentList arguments, MacroBody body) : Statement(line)
{
    public override Flow Execute(RenderContext context, Scope scope, StringBuilder output)
    {
        if (context.Evaluate(target, scope) is not JinjaCallable function)
        {
            throw new TemplateException("what a call block calls is no macro", Line);
        }

        CallArguments evaluated = arguments.Evaluate(context, scope, function.Name);
        context.Allocate(1024);
        evaluated.Named.Add(("caller", new Macro("caller", body, scope)));
        context.Write(output, PythonText.ToText(context, function.Call(context, evaluated)));
        return Flow.Next;
    }
}

/// <summary>Where a value can go: a name, several names, or a member of a namespace.</summary>
internal static class Targets
{
    public static void Assign(RenderContext context, Scope scope, Expression target, object? value)
    {
        switch (target)
        {
            case Variable variable:
                scope[variable.Name] = value;
                break;
            case MemberExpression member:
                scope.TryGet(((Variable)member.Target).Name, out object? holder, context);
                ((holder as JinjaNamespace)?.Members ?? throw new TemplateException("cannot assign attribute on non-namespace object", target.Line))
                    [member.Name] = value;
                break;
            case ListDisplay list:
                List<object?> values = context.ToList(value);
                if (values.Count != list.Items.Count)
                {
                    throw new TemplateException(
                        values.Count > list.Items.Count
                            ? $"too many values to unpack (expected {list.Items.Count})"
                            : $"not enough values to unpack (expected {list.Items.Count}, got {values.Count})",
                        target.Line);
                }

                for (int i = 0; i < values.Count; i++)
                {
                    Assign(context, scope, list.Items[i], values[i]);
                }

                break;
        }
    }
}
