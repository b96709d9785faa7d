using System.Runtime.CompilerServices;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>
/// One rendering: its variables, and what it may still use up. Templates come with model files and are not trusted; every bound here is far
/// above what a real one needs for a long conversation.
/// </summary>
internal sealed class RenderContext(Scope globals, TimeProvider clock, CancellationToken cancellationToken)
{
    private const long MaxSteps = 10_000_000;
    private const long MaxCharacters = 256L << 20;
    private const int MaxLength = 64 << 20;
    private const int MaxMacroDepth = 100;

    private long _steps;
    private long _characters;
    private int _macroDepth;

    public Scope Globals => globals;

    public TimeProvider Clock => clock;

    /// <summary>Counts work: one step for a node, more for what takes longer.</summary>
    public void Step(long count = 1)
    {
        long before = _steps;
        _steps += count;
        if (_steps > MaxSteps)
        {
            throw new TemplateException($"the template takes more than {MaxSteps} steps");
        }

        if (before >> 12 != _steps >> 12)
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

        RuntimeHelpers.EnsureSufficientExecutionStack();
    }

    /// <summary>Counts a text that has been made.</summary>
    public string Charge(string text)
    {
        CheckSize(text.Length);
        _characters += text.Length;
        if (_characters > MaxCharacters)
        {
            throw new TemplateException($"the template makes more than {MaxCharacters} characters of text");
        }

        Step(text.Length / 64);
        return text;
    }

    /// <summary>Refuses a text or list that would become too long, before it is made.</summary>
    public static void CheckSize(long length)
    {
        if (length > MaxLength)
        {
            throw new TemplateException($"the template makes a text or list of more than {MaxLength} characters or elements");
        }
    }

    public void Write(StringBuilder output, string text)
    {
        CheckSize((long)output.Length + text.Length);
        Step(text.Length / 64);
        output.Append(text);
    }

    public void EnterMacro(string name)
    {
        if (++_macroDepth > MaxMacroDepth)
        {
            throw new TemplateException($"macro '{name}' calls itself, directly or not, deeper than {MaxMacroDepth}");
        }
    }

    public void LeaveMacro() => _macroDepth--;

    /// <summary>Evaluates an expression of a statement; an error gets the line of it.</summary>
    public object? Evaluate(Expression expression, Scope scope, bool isMarked = false)
    {
        try
        {
            return isMarked ? expression.EvaluateMarked(this, scope) : expression.Evaluate(this, scope);
        }
        catch (TemplateException exception) when (exception is { Line: 0, IsRaisedByTemplate: false })
        {
            throw new TemplateException(exception.Message, expression.Line);
        }
    }

    /// <summary>The elements of a value; an error for one that has none.</summary>
    public IEnumerable<object?> Iterate(object? value)
    {
        switch (value)
        {
            case Undefined:
                return [];
            case string text:
                Step(text.Length);
                return CodePoints.Split(text);
            case JinjaList list:
                return Elements(list.Items);
            case JinjaTuple tuple:
                return tuple.Items;
            case JinjaDict dict:
                return dict.Keys.ToList();
            case JinjaRange range:
                return Enumerable.Range(0, range.Count).Select(object? (i) => range[i]);
            case JinjaView view:
                return view.Items;
            case JinjaGenerator generator:
                return generator;
            default:
                throw new TemplateException($"'{PythonText.TypeName(value)}' object is not iterable");
        }
    }

    public List<object?> ToList(object? value)
    {
        var list = new List<object?>();
        foreach (object? item in Iterate(value))
        {
            Step();
            list.Add(item);
        }

        return list;
    }

    private static IEnumerable<object?> Elements(List<object?> items)
    {
        // A template may append to a list that it goes through.
        for (int i = 0; i < items.Count; i++)
        {
            yield return items[i];
        }
    }
}

/// <summary>Variables that are visible at a place, with those of the places around it behind.</summary>
internal sealed class Scope(Scope? parent)
{
    private readonly Dictionary<string, object?> _variables = new(StringComparer.Ordinal);

    public object? this[string name]
    {
        set => _variables[name] = value;
    }

    public bool TryGet(string name, out object? value)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._variables.TryGetValue(name, out value))
            {
                return true;
            }
        }

        value = null;
        return false;
    }

    private Scope? Parent => parent;
}
