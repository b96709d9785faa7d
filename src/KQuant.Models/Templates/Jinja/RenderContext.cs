using System.Text;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>One rendering: its variables, and what it may still use up. Everything that takes time or memory is charged before it is done.</summary>
internal sealed class RenderContext(Scope globals, TimeProvider clock, RenderBudget budget, ContentMarks? marks)
{
    /// <summary>Characters that are compared, copied or searched for in the time of a step.</summary>
    private const int FastCharacters = 128;

    /// <summary>Characters that are looked at one by one in the time of a step.</summary>
    private const int SlowCharacters = 8;

    private const int BytesOfObject = 32, BytesOfElement = 24, BytesOfEntry = 64;
    private const int MaxLength = 16 << 20;
    private const int MaxMacroDepth = 100;

    private int _macroDepth;

    public Scope Globals => globals;

    public TimeProvider Clock => clock;

    /// <summary>What stands for other characters in the texts of the conversation.</summary>
    public ContentMarks? Marks => marks;

    /// <summary>Counts work: one step for a node, more for what takes longer.</summary>
    public void Step(long count = 1) => budget.Step(count);

    /// <summary>Counts memory.</summary>
    public void Allocate(long bytes) => budget.Allocate(bytes);

    /// <summary>Counts a run over a text by vectorized code.</summary>
    public void Scan(long characters) => budget.Step(1 + (characters / FastCharacters));

    /// <summary>Counts a run over a text, character by character.</summary>
    public void Work(long characters) => budget.Step(1 + (characters / SlowCharacters));

    /// <summary>Counts a list of so many elements that is about to be made.</summary>
    public void Elements(long count, long bytesOfEach = 0)
    {
        CheckSize(count);
        budget.Step(1 + (count / SlowCharacters));
        budget.Allocate(BytesOfObject + (count * (BytesOfElement + bytesOfEach)));
    }

    /// <summary>Counts the entry of a dictionary, and looks at its key as the dictionary will.</summary>
    public object? Entry(object? key)
    {
        budget.Allocate(BytesOfEntry);
        return Key(key);
    }

    /// <summary>Counts what hashing and comparing a key costs.</summary>
    public object? Key(object? key)
    {
        switch (key)
        {
            case string text:
                Scan(text.Length);
                break;
            case JinjaTuple tuple:
                Step(1 + tuple.Items.Length);
                foreach (object? item in tuple.Items)
                {
                    Key(item);
                }

                break;
            case JinjaList or JinjaDict:
                throw new TemplateException($"unhashable type: '{PythonText.TypeName(key)}'");
            default:
                Step();
                break;
        }

        return key;
    }

    /// <summary>Counts a text that has been made.</summary>
    public string Charge(string text)
    {
        CheckSize(text.Length);
        budget.Allocate(BytesOfObject + ((long)sizeof(char) * text.Length));
        Scan(text.Length);
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
        budget.Allocate((long)sizeof(char) * text.Length);
        Scan(text.Length);
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
            case UndefinedValue:
                return [];
            case string text:
                return Split(text);
            case JinjaList list:
                return Each(list.Items);
            case JinjaTuple tuple:
                return tuple.Items;
            case JinjaDict dict:
                Elements(dict.Count);
                return dict.Keys.ToList();
            case JinjaRange range:
                Elements(0);
                return Enumerable.Range(0, range.Count).Select(object? (i) => range[i]);
            case JinjaView view:
                return view.Items;
            case JinjaGenerator generator:
                return generator;
            default:
                throw new TemplateException($"'{PythonText.TypeName(value)}' object is not iterable");
        }
    }

    /// <summary>The code points of a text as strings.</summary>
    public string[] Split(string text)
    {
        Elements(text.Length, CodePoints.AreUnits(text) ? 0 : BytesOfObject);
        return CodePoints.Split(text);
    }

    public List<object?> ToList(object? value)
    {
        var list = new List<object?>();
        foreach (object? item in Iterate(value))
        {
            Step();
            Allocate(BytesOfElement);
            list.Add(item);
        }

        return list;
    }

    private static IEnumerable<object?> Each(List<object?> items)
    {
        // A template may append to a list that it goes through.
        for (int i = 0; i < items.Count; i++)
        {
            yield return items[i];
        }
    }
}
