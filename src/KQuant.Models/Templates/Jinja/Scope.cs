namespace KQuant.Models.Templates;

/// <summary>Variables that are visible at a place, with those of the places around it behind.</summary>
internal sealed class Scope(Scope? parent)
{
    private readonly Dictionary<string, object?> _variables = new(StringComparer.Ordinal);

    public object? this[string name]
    {
        set => _variables[name] = value;
    }

    /// <summary>The value of a variable.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="value">The value; null if there is none.</param>
    /// <param name="context">Is charged for every place that is looked at; null for nobody.</param>
    public bool TryGet(string name, out object? value, RenderContext? context)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._variables.TryGetValue(name, out value))
            {
                return true;
            }

            context?.Scan(name.Length);
        }

        value = null;
        return false;
    }

    private Scope? Parent => parent;
}
