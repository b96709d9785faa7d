using System.Numerics;

namespace KQuant.Models.Templates;

/// <summary>What stands behind <c>is</c>.</summary>
internal static class JinjaTests
{
    public static bool Check(RenderContext context, string name, object? value, CallArguments arguments)
    {
        switch (name)
        {
            case "defined": return value is not UndefinedValue;
            case "undefined": return value is UndefinedValue;
            case "none": return value is null;
            case "boolean": return value is bool;
            case "true": return value is true;
            case "false": return value is false;
            case "integer": return value is long or BigInteger;
            case "float": return value is double;
            case "number": return PythonNumbers.IsNumber(value);
            case "string": return value is string;
            case "mapping": return value is JinjaDict;
            case "sequence": return value is string or JinjaList or JinjaTuple or JinjaDict or JinjaRange or UndefinedValue;
            case "iterable": return value is string or JinjaList or JinjaTuple or JinjaDict or JinjaRange or JinjaView or JinjaGenerator or UndefinedValue;
            case "callable": return value is JinjaCallable;
            case "escaped": return false;
            case "filter": return value is string filter && JinjaFilters.Exists(filter);
            case "test": return value is string test && IsKnown(test);
            case "lower": return StringMethods.Call(context, PythonText.ToText(context, value), "islower", arguments) is true;
            case "upper": return StringMethods.Call(context, PythonText.ToText(context, value), "isupper", arguments) is true;
            case "odd": return Remainder(context, value, 2L) is 1L or 1.0;
            case "even": return Remainder(context, value, 2L) is 0L or 0.0;
            case "divisibleby": return Remainder(context, value, arguments[0, "num"]) is 0L or 0.0;
            case "sameas":
                context.Scan(value is string same ? same.Length : 0);
                return IsSame(value, arguments[0, "other"]);
            case "in": return PythonCompare.Contains(context, arguments[0, "seq"], value);
            default:
                string sign = Sign(name) ?? throw new TemplateException($"No test named '{Codecs.Files.Printable.Shorten(name)}'.");
                return JinjaOperators.Compare(context, sign, value, arguments[0, "other"]);
        }
    }

    private static string? Sign(string name) => name switch
    {
        "eq" or "equalto" or "==" => "==",
        "ne" or "!=" => "!=",
        "lt" or "lessthan" or "<" => "<",
        "le" or "<=" => "<=",
        "gt" or "greaterthan" or ">" => ">",
        "ge" or ">=" => ">=",
        _ => null,
    };

    private static bool IsKnown(string name) => Sign(name) is not null || name is "defined" or "undefined" or "none" or "boolean" or "true" or "false"
        or "integer" or "float" or "number" or "string" or "mapping" or "sequence" or "iterable" or "callable" or "escaped" or "filter" or "test"
        or "lower" or "upper" or "odd" or "even" or "divisibleby" or "sameas" or "in";

    private static object Remainder(RenderContext context, object? value, object? divisor) => PythonNumbers.IsNumber(value) && PythonNumbers.IsNumber(divisor)
        ? PythonNumbers.Calculate(context, "%", value!, divisor!)
        : throw new TemplateException(value is UndefinedValue undefined
            ? undefined.Problem
            : $"unsupported operand type(s) for %: '{PythonText.TypeName(value)}' and '{PythonText.TypeName(divisor)}'");

    private static bool IsSame(object? x, object? y) => x is null || y is null ? x is null && y is null
        : x.GetType() == y.GetType() && (x is bool or long or string ? x.Equals(y) : ReferenceEquals(x, y));
}
