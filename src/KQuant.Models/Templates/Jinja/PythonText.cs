using System.Globalization;
using System.Numerics;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>How Python prints values, and what it thinks of characters.</summary>
internal static class PythonText
{
    /// <summary>What a number or name adds to a text, at most.</summary>
    private const int BytesOfPart = 64;

    /// <summary>White space to <c>str.strip</c> and <c>str.split</c>: the framework's, and four separators of ASCII.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1C' and <= '\x1F';

    /// <summary>The name of a value's type in messages.</summary>
    public static string TypeName(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        JinjaList => "list",
        JinjaTuple => "tuple",
        JinjaDict => "dict",
        JinjaRange => "range",
        JinjaView view => view.Name,
        JinjaGenerator => "generator",
        UndefinedValue => "UndefinedValue",
        JinjaNamespace => "Namespace",
        JinjaCallable => "function",
        _ => "object",
    };

    public static bool IsTrue(object? value) => value switch
    {
        null or UndefinedValue => false,
        bool flag => flag,
        long integer => integer != 0,
        BigInteger big => !big.IsZero,
        double number => number != 0,
        string text => text.Length > 0,
        JinjaList list => list.Items.Count > 0,
        JinjaTuple tuple => tuple.Items.Length > 0,
        JinjaDict dict => dict.Count > 0,
        JinjaRange range => range.Count > 0,
        JinjaView view => view.Items.Count > 0,
        _ => true,
    };

    /// <summary><c>str(value)</c>.</summary>
    public static string ToText(RenderContext context, object? value)
    {
        if (value is string text)
        {
            return text;
        }

        if (value is UndefinedValue)
        {
            return "";
        }

        var result = new StringBuilder();
        AppendRepr(context, result, value);
        return context.Charge(result.ToString());
    }

    /// <summary><c>repr(value)</c>.</summary>
    public static string Repr(RenderContext context, object? value)
    {
        var result = new StringBuilder();
        AppendRepr(context, result, value);
        return context.Charge(result.ToString());
    }

    /// <summary>The shortest text that gives the number again, in Python's spelling.</summary>
    public static string Float(double number)
    {
        if (double.IsNaN(number) || double.IsInfinity(number))
        {
            return double.IsNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
        }

        string shortest = number.ToString("R", CultureInfo.InvariantCulture);
        string sign = shortest.StartsWith('-') ? "-" : "";
        string mantissa = shortest.TrimStart('-');
        int exponentAt = mantissa.IndexOf('E', StringComparison.Ordinal);
        int exponent = exponentAt < 0 ? 0 : int.Parse(mantissa.AsSpan(exponentAt + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        mantissa = exponentAt < 0 ? mantissa : mantissa[..exponentAt];
        int dot = mantissa.IndexOf('.', StringComparison.Ordinal);
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        int point = (dot < 0 ? digits.Length : dot) + exponent;
        int zeros = digits.Length - digits.TrimStart('0').Length;
        digits = digits[zeros..].TrimEnd('0');
        point -= zeros;
        if (digits.Length == 0)
        {
            return sign + "0.0";
        }

        if (point is <= -4 or > 16)
        {
            string fraction = digits.Length > 1 ? "." + digits[1..] : "";
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{digits[0]}{fraction}e{(point - 1 < 0 ? '-' : '+')}{Math.Abs(point - 1):00}");
        }

        return sign + (point <= 0 ? "0." + new string('0', -point) + digits
            : point >= digits.Length ? digits + new string('0', point - digits.Length) + ".0"
            : digits[..point] + "." + digits[point..]);
    }

    private static void AppendRepr(RenderContext context, StringBuilder result, object? value)
    {
        context.Step(2);
        context.Allocate(BytesOfPart);
        RenderContext.CheckSize(result.Length);
        switch (value)
        {
            case null: result.Append("None"); break;
            case bool flag: result.Append(flag ? "True" : "False"); break;
            case long integer: result.Append(integer.ToString(CultureInfo.InvariantCulture)); break;
            case BigInteger big:
                context.Step(PythonNumbers.MaxBits / 16);
                result.Append(big.ToString(CultureInfo.InvariantCulture));
                break;
            case double number: result.Append(Float(number)); break;
            case string text: AppendQuoted(context, result, text); break;
            case JinjaList list: AppendItems(context, result, '[', list.Items, ']'); break;
            case JinjaTuple { Items: [var only] }:
                result.Append('(');
                AppendRepr(context, result, only);
                result.Append(",)");
                break;
            case JinjaTuple tuple: AppendItems(context, result, '(', tuple.Items, ')'); break;
            case JinjaDict dict: AppendDict(context, result, dict); break;
            case JinjaView view:
                result.Append(view.Name).Append('(');
                AppendItems(context, result, '[', view.Items, ']');
                result.Append(')');
                break;
            case JinjaRange range:
                result.Append(CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop}{(range.Step == 1 ? "" : $", {range.Step}")})");
                break;
            case UndefinedValue: result.Append("UndefinedValue"); break;
            case JinjaNamespace space:
                result.Append("<Namespace {");
                foreach ((string name, object? member) in space.Members)
                {
                    result.Append(result[^1] == '{' ? "" : ", ");
                    AppendQuoted(context, result, name);
                    result.Append(": ");
                    AppendRepr(context, result, member);
                }

                result.Append("}>");
                break;
            case JinjaCallable callable: result.Append("<function ").Append(callable.Name).Append('>'); break;
            default: result.Append('<').Append(TypeName(value)).Append(" object>"); break;
        }
    }

    private static void AppendItems(RenderContext context, StringBuilder result, char open, IReadOnlyList<object?> items, char close)
    {
        result.Append(open);
        for (int i = 0; i < items.Count; i++)
        {
            result.Append(i == 0 ? "" : ", ");
            AppendRepr(context, result, items[i]);
        }

        result.Append(close);
    }

    private static void AppendDict(RenderContext context, StringBuilder result, JinjaDict dict)
    {
        result.Append('{');
        bool first = true;
        foreach ((object? key, object? value) in dict.Entries)
        {
            result.Append(first ? "" : ", ");
            first = false;
            AppendRepr(context, result, key);
            result.Append(": ");
            AppendRepr(context, result, value);
        }

        result.Append('}');
    }

    private static void AppendQuoted(RenderContext context, StringBuilder result, string text)
    {
        context.Work(text.Length);
        context.Allocate(sizeof(char) * (long)text.Length);
        char quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        result.Append(quote);
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c == quote || c == '\\')
            {
                result.Append('\\').Append(c);
            }
            else if (c is '\n' or '\r' or '\t')
            {
                result.Append('\\').Append(c switch { '\n' => 'n', '\r' => 'r', _ => 't' });
            }
            else if (c is >= ' ' and < '\x7F')
            {
                result.Append(c);
            }
            else
            {
                bool pair = i + 1 < text.Length && char.IsSurrogatePair(c, text[i + 1]);
                int point = pair ? char.ConvertToUtf32(c, text[i + 1]) : c;
                if (IsPrintable(point) || context.Marks?.TryGetOriginal(c, out _) == true)
                {
                    result.Append(text, i, pair ? 2 : 1);
                }
                else
                {
                    result.Append(point > 0xFFFF ? $"\\U{point:x8}" : point > 0xFF ? $"\\u{point:x4}" : $"\\x{point:x2}");
                }

                i += pair ? 1 : 0;
            }
        }

        result.Append(quote);
    }

    private static bool IsPrintable(int point) => CharUnicodeInfo.GetUnicodeCategory(point) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
