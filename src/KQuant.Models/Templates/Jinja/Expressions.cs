using System.Text;

namespace KQuant.Models.Templates;

/// <summary>A part of a template that has a value.</summary>
internal abstract class Expression(int line)
{
    /// <summary>The line of the template, from 1.</summary>
    public int Line => line;

    public object? Evaluate(RenderContext context, Scope scope) => Markup.Unwrap(EvaluateMarked(context, scope));

    /// <summary>The value as it is, which may be a <see cref="Markup"/>.</summary>
    public object? EvaluateMarked(RenderContext context, Scope scope)
    {
        context.Step();
        return Compute(context, scope);
    }

    protected abstract object? Compute(RenderContext context, Scope scope);
}

internal sealed class Constant(int line, object? value) : Expression(line)
{
    public object? Value => value;

    protected override object? Compute(RenderContext context, Scope scope) => value;
}

internal sealed class Variable(int line, string name) : Expression(line)
{
    public string Name => name;

    protected override object? Compute(RenderContext context, Scope scope) =>
        scope.TryGet(name, out object? value, context) ? value : new UndefinedValue($"'{Codecs.Files.Printable.Shorten(name)}' is undefined");
}

internal sealed class ListDisplay(int line, List<Expression> items, bool isTuple) : Expression(line)
{
    public List<Expression> Items => items;

    public bool IsTuple => isTuple;

    protected override object? Compute(RenderContext context, Scope scope)
    {
        var values = new List<object?>(items.Count);
        foreach (Expression item in items)
        {
            values.Add(item.Evaluate(context, scope));
        }

        context.Elements(values.Count);
        return isTuple ? new JinjaTuple([.. values]) : new JinjaList(values);
    }
}

internal sealed class DictDisplay(int line, List<(Expression Key, Expression Value)> items) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope)
    {
        var dict = new JinjaDict();
        foreach ((Expression key, Expression value) in items)
        {
            object? name = context.Entry(key.Evaluate(context, scope));
            dict[name] = value.Evaluate(context, scope);
        }

        return dict;
    }
}

internal sealed class MemberExpression(int line, Expression target, string name) : Expression(line)
{
    public Expression Target => target;

    public string Name => name;

    protected override object? Compute(RenderContext context, Scope scope) => JinjaMembers.GetAttribute(context, target.Evaluate(context, scope), name);
}

internal sealed class Subscript(int line, Expression target, Expression index) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) =>
        JinjaMembers.GetItem(context, target.Evaluate(context, scope), index.Evaluate(context, scope));
}

internal sealed class SliceExpression(int line, Expression target, Expression? start, Expression? stop, Expression? step) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) => JinjaMembers.GetSlice(
        context,
        target.Evaluate(context, scope),
        start?.Evaluate(context, scope),
        stop?.Evaluate(context, scope),
        step?.Evaluate(context, scope));
}

/// <summary>Arguments of a call, a filter or a test, before they are evaluated.</summary>
internal sealed class ArgumentList
{
    public List<Expression> Positional { get; } = [];

    public List<(string Name, Expression Value)> Named { get; } = [];

    public Expression? Starred { get; set; }

    public Expression? DoubleStarred { get; set; }

    public CallArguments Evaluate(RenderContext context, Scope scope, string function)
    {
        var positional = new List<object?>(Positional.Count);
        foreach (Expression argument in Positional)
        {
            positional.Add(argument.Evaluate(context, scope));
        }

        var named = new List<(string, object?)>(Named.Count);
        foreach ((string name, Expression value) in Named)
        {
            named.Add((name, value.Evaluate(context, scope)));
        }

        if (Starred is not null)
        {
            positional.AddRange(context.ToList(Starred.Evaluate(context, scope)));
        }

        if (DoubleStarred?.Evaluate(context, scope) is JinjaDict more)
        {
            context.Elements(more.Count);
            foreach ((object? key, object? argument) in more.Entries)
            {
                named.Add((key as string ?? throw new TemplateException("keywords must be strings"), argument));
            }
        }

        // A function looks for each of its parameters among the names.
        context.Step(named.Count / 4);
        return new CallArguments(function, positional, named);
    }
}

internal sealed class Call(int line, Expression target, ArgumentList arguments) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) => target.Evaluate(context, scope) switch
    {
        JinjaCallable function => function.Call(context, arguments.Evaluate(context, scope, function.Name)),
        UndefinedValue undefined => throw new TemplateException(undefined.Problem),
        var value => throw new TemplateException($"'{PythonText.TypeName(value)}' object is not callable"),
    };
}

internal sealed class FilterCall(int line, Expression? target, string name, ArgumentList arguments) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) => Apply(context, scope, target!.EvaluateMarked(context, scope));

    /// <summary>Applies the filter, and those before it, to a value from elsewhere.</summary>
    public object? Apply(RenderContext context, Scope scope, object? value, bool isRoot = false)
    {
        if (isRoot && target is FilterCall before)
        {
            value = before.Apply(context, scope, value, isRoot: true);
        }

        return JinjaFilters.ApplyMarked(context, name, value, arguments.Evaluate(context, scope, name));
    }
}

internal sealed class TestCall(int line, Expression target, string name, ArgumentList arguments, bool negated) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) =>
        JinjaTests.Check(context, name, target.Evaluate(context, scope), arguments.Evaluate(context, scope, name)) != negated;
}

internal sealed class Unary(int line, string sign, Expression operand) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope)
    {
        object? value = operand.Evaluate(context, scope);
        if (sign == "not")
        {
            return !PythonText.IsTrue(value);
        }

        if (!PythonNumbers.IsNumber(value))
        {
            throw new TemplateException(value is UndefinedValue undefined
                ? undefined.Problem
                : $"bad operand type for unary {sign}: '{PythonText.TypeName(value)}'");
        }

        return value is double number ? sign == "-" ? -number : number : PythonNumbers.Calculate(context, sign, 0L, value!);
    }
}

internal sealed class BinaryExpression(int line, string sign, Expression left, Expression right) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope)
    {
        object? x = left.EvaluateMarked(context, scope);
        if (sign is "and" or "or")
        {
            return PythonText.IsTrue(Markup.Unwrap(x)) == (sign == "or") ? x : right.EvaluateMarked(context, scope);
        }

        return JinjaOperators.ApplyMarked(context, sign, x, right.EvaluateMarked(context, scope));
    }
}

internal sealed class Comparison(int line, Expression first, List<(string Sign, Expression Right)> rest) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope)
    {
        object? left = first.Evaluate(context, scope);
        foreach ((string sign, Expression next) in rest)
        {
            object? right = next.Evaluate(context, scope);
            if (!JinjaOperators.Compare(context, sign, left, right))
            {
                return false;
            }

            left = right;
        }

        return true;
    }
}

internal sealed class Concatenation(int line, List<Expression> parts) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope)
    {
        var result = new StringBuilder();
        foreach (Expression part in parts)
        {
            context.Write(result, PythonText.ToText(context, part.Evaluate(context, scope)));
        }

        return context.Charge(result.ToString());
    }
}

internal sealed class Conditional(int line, Expression test, Expression then, Expression? otherwise) : Expression(line)
{
    protected override object? Compute(RenderContext context, Scope scope) =>
        PythonText.IsTrue(test.Evaluate(context, scope)) ? then.EvaluateMarked(context, scope)
        : otherwise is not null ? otherwise.EvaluateMarked(context, scope)
        : new UndefinedValue($"the inline if-expression on line {Line} evaluated to false and no else section was defined.");
}
