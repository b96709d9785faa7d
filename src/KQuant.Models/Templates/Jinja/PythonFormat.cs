using System.Globalization;
using System.Numerics;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary><c>'...' % values</c>, <c>'...'.format(...)</c> and <c>strftime</c>.</summary>
internal static class PythonFormat
{
    private const int MaxWidth = 10_000;

    /// <summary>The percent operator of a string.</summary>
    public static string Percent(RenderContext context, string format, object? values)
    {
        object?[] items = values is JinjaTuple tuple ? tuple.Items : [values];
        ChargeFormat(context, format);
        var result = new StringBuilder();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                result.Append(format[i]);
                continue;
            }

            i++;
            object? Take() => next < items.Length ? items[next++] : throw new TemplateException("not enough arguments for format string");
            Func<object?> value = Take;
            if (i < format.Length && format[i] == '(')
            {
                int end = format.IndexOf(')', i);
                string key = end < 0 ? throw new TemplateException("incomplete format key") : format[(i + 1)..end];
                JinjaDict dict = values as JinjaDict ?? throw new TemplateException("format requires a mapping");
                value = () => dict.TryGet(context.Key(key), out object? found) ? found : throw new TemplateException($"the format names '{Codecs.Files.Printable.Shorten(key)}', which is not there");
                next = items.Length;
                i = end + 1;
            }

            int start = i;
            while (i < format.Length && "-+ #0".Contains(format[i]))
            {
                i++;
            }

            string flags = format[start..i];
            int width = Number(format, ref i, Take);
            int precision = -1;
            if (i < format.Length && format[i] == '.')
            {
                i++;
                precision = Math.Max(0, Number(format, ref i, Take));
            }

            while (i < format.Length && format[i] is 'l' or 'h' or 'L')
            {
                i++;
            }

            char kind = i < format.Length ? format[i] : throw new TemplateException("incomplete format");
            if (kind == '%')
            {
                result.Append('%');
                continue;
            }

            bool left = flags.Contains('-');
            char sign = flags.Contains('+') ? '+' : flags.Contains(' ') ? ' ' : '-';
            string text;
            bool isNumber = kind is not ('s' or 'r' or 'a' or 'c');
            object? item = value();
            if (!isNumber)
            {
                text = kind is 'r' or 'a' ? PythonText.Repr(context, item)
                    : kind == 'c' && item is long code ? char.ConvertFromUtf32((int)Math.Clamp(code, 0, 0xD7FF))
                    : PythonText.ToText(context, item);
                text = precision >= 0 && kind != 'c' ? string.Concat(context.Split(text).Take(precision)) : text;
            }
            else
            {
                if (!PythonNumbers.IsNumber(item))
                {
                    throw new TemplateException($"%{kind} format: a real number is required, not {PythonText.TypeName(item)}");
                }

                item = kind is 'd' or 'i' or 'u' && item is double real
                    ? double.IsFinite(real)
                        ? PythonNumbers.Integer(new BigInteger(real))
                        : throw new TemplateException("cannot convert float infinity or NaN to integer")
                    : item;
                text = FormatNumber(context, item!, kind is 'i' or 'u' ? 'd' : kind, precision, sign, flags.Contains('#'), grouping: '\0');
            }

            char fill = flags.Contains('0') && !left && isNumber ? '0' : ' ';
            context.Write(result, Align(context, text, width, fill, left ? '<' : fill == '0' ? '=' : '>'));
        }

        return next < items.Length && values is not JinjaDict and not (JinjaList or UndefinedValue)
            ? throw new TemplateException("not all arguments converted during string formatting")
            : result.ToString();
    }

    /// <summary><c>str.format</c>.</summary>
    public static string Format(RenderContext context, string format, CallArguments arguments)
    {
        ChargeFormat(context, format);
        var result = new StringBuilder();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            char c = format[i];
            if (c is '{' or '}' && i + 1 < format.Length && format[i + 1] == c)
            {
                result.Append(c);
                i++;
                continue;
            }

            if (c == '}')
            {
                throw new TemplateException("Single '}' encountered in format string");
            }

            if (c != '{')
            {
                result.Append(c);
                continue;
            }

            int end = FieldEnd(format, i);
            string field = format[(i + 1)..end];
            i = end;
            int specAt = field.AsSpan().IndexOfAny(':', '!');
            int bracket = field.IndexOf('[', StringComparison.Ordinal);
            if (bracket >= 0 && specAt > bracket)
            {
                int close = field.IndexOf(']', bracket);
                int after = close < 0 ? -1 : field.AsSpan(close).IndexOfAny(':', '!');
                specAt = after < 0 ? -1 : close + after;
            }

            string name = specAt < 0 ? field : field[..specAt];
            char conversion = specAt >= 0 && field[specAt] == '!' && specAt + 1 < field.Length ? field[specAt + 1] : '\0';
            string spec = specAt < 0 ? "" : field[(specAt + (conversion != '\0' ? 2 : 0))..];
            spec = spec.StartsWith(':') ? spec[1..] : spec;
            object? value = Field(context, name, arguments, ref next);
            if (spec.Contains('{'))
            {
                context.Work(spec.Length);
                spec = spec.Replace("{}", PythonText.ToText(context, spec.Contains("{}", StringComparison.Ordinal) ? Field(context, "", arguments, ref next) : ""), StringComparison.Ordinal);
            }

            value = conversion switch { 'r' or 'a' => PythonText.Repr(context, value), 's' => PythonText.ToText(context, value), _ => value };
            context.Write(result, FormatSpec(context, value, spec));
        }

        return result.ToString();
    }

    private static void ChargeFormat(RenderContext context, string format)
    {
        context.Work(format.Length);
        context.Allocate(4 * sizeof(char) * (long)format.Length);
    }

    /// <summary><c>strftime</c> with English names.</summary>
    public static string Time(DateTimeOffset time, string format)
    {
        var result = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append(format[i]);
                continue;
            }

            char code = format[++i];
            bool bare = code == '-' && i + 1 < format.Length;
            code = bare ? format[++i] : code;
            string text = code switch
            {
                'Y' => Show("yyyy"),
                'm' => Show("MM"),
                'd' => Show("dd"),
                'H' => Show("HH"),
                'I' => Show("hh"),
                'M' => Show("mm"),
                'S' => Show("ss"),
                'y' => Show("yy"),
                'p' => Show("tt"),
                'B' => Show("MMMM"),
                'b' or 'h' => Show("MMM"),
                'A' => Show("dddd"),
                'a' => Show("ddd"),
                'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
                'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
                'f' => Show("ffffff"),
                'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
                'u' => (time.DayOfWeek == DayOfWeek.Sunday ? 7 : (int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
                'F' => Show("yyyy-MM-dd"),
                'T' or 'X' => Show("HH:mm:ss"),
                'R' => Show("HH:mm"),
                'D' or 'x' => Show("MM/dd/yy"),
                'c' => Show("ddd MMM ") + time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2) + Show(" HH:mm:ss yyyy"),
                's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
                'n' => "\n",
                't' => "\t",
                '%' => "%",
                // Templates see a time without zone.
                'z' or 'Z' => "",
                _ => "%" + code,
            };
            result.Append(bare ? text.TrimStart('0') is { Length: > 0 } rest ? rest : "0" : text);
        }

        return result.ToString();

        string Show(string code) => time.ToString(code, CultureInfo.InvariantCulture);
    }

    /// <summary>A number in the notation of a format: d b o x X c e E f F g G n %.</summary>
    private static string FormatNumber(RenderContext context, object value, char kind, int precision, char sign, bool alternate, char grouping)
    {
        context.Step(value is BigInteger ? 8 * PythonNumbers.MaxBits : 64 + Math.Max(0, precision));
        precision = Math.Min(precision, 300);
        bool negative = value is double real ? double.IsNegative(real) : PythonNumbers.AsBig(value).Sign < 0;
        string digits;
        if (kind is 'd' or 'b' or 'o' or 'x' or 'X' or 'n' && value is not double)
        {
            BigInteger magnitude = BigInteger.Abs(PythonNumbers.AsBig(value));
            digits = kind switch { 'd' or 'n' => magnitude.ToString(CultureInfo.InvariantCulture), 'b' => Radix(magnitude, 2), 'o' => Radix(magnitude, 8), _ => Radix(magnitude, 16) };
            digits = digits.PadLeft(Math.Max(precision, 0), '0');
            digits = kind == 'X' ? digits.ToUpperInvariant() : digits;
            digits = Group(digits, grouping);
            digits = (alternate ? kind switch { 'b' => "0b", 'o' => "0o", 'x' => "0x", 'X' => "0X", _ => "" } : "") + digits;
        }
        else
        {
            digits = Real(Math.Abs(PythonNumbers.AsDouble(value)), kind, precision, grouping);
        }

        return (negative ? "-" : sign is '+' or ' ' ? sign.ToString() : "") + digits;
    }

    private static string Real(double value, char kind, int precision, char grouping)
    {
        if (double.IsNaN(value) || double.IsInfinity(value))
        {
            string special = double.IsNaN(value) ? "nan" : "inf";
            return char.IsUpper(kind) ? special.ToUpperInvariant() : special;
        }

        precision = precision < 0 && kind is not ('r' or '\0') ? 6 : precision;
        string text;
        switch (kind)
        {
            case 'f' or 'F' or '%':
                text = (kind == '%' ? value * 100 : value).ToString("F" + precision.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
                break;
            case 'e' or 'E':
                text = Exponent(value, precision);
                break;
            case 'g' or 'G' or 'n':
                text = General(value, Math.Max(1, precision));
                break;
            case '\0':
                text = precision < 0 ? PythonText.Float(value) : General(value, Math.Max(1, precision));
                text = precision >= 0 && !text.Contains('.') && !text.Contains('e') ? text + ".0" : text;
                break;
            default:
                throw new TemplateException($"Unknown format code '{kind}' for object of type 'float'");
        }

        int dot = text.AsSpan().IndexOfAny('.', 'e');
        text = Group(dot < 0 ? text : text[..dot], grouping) + (dot < 0 ? "" : text[dot..]) + (kind == '%' ? "%" : "");
        return char.IsUpper(kind) ? text.ToUpperInvariant() : text;
    }

    private static string Exponent(double value, int precision)
    {
        string text = value.ToString("E" + precision.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        int at = text.IndexOf('E', StringComparison.Ordinal);
        int exponent = int.Parse(text.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        return string.Create(CultureInfo.InvariantCulture, $"{text[..at]}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
    }

    private static string General(double value, int precision)
    {
        string scientific = Exponent(value, precision - 1);
        int exponent = int.Parse(scientific.AsSpan(scientific.IndexOf('e', StringComparison.Ordinal) + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent < -4 || exponent >= precision)
        {
            int e = scientific.IndexOf('e', StringComparison.Ordinal);
            string mantissa = scientific[..e];
            return (mantissa.Contains('.') ? mantissa.TrimEnd('0').TrimEnd('.') : mantissa) + scientific[e..];
        }

        string text = value.ToString("F" + (precision - 1 - exponent).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return text.Contains('.') ? text.TrimEnd('0').TrimEnd('.') : text;
    }

    private static string Radix(BigInteger value, int radix)
    {
        var result = new StringBuilder();
        do
        {
            result.Insert(0, "0123456789abcdef"[(int)(value % radix)]);
            value /= radix;
        }
        while (!value.IsZero);
        return result.ToString();
    }

    private static string Group(string digits, char grouping)
    {
        if (grouping == '\0')
        {
            return digits;
        }

        var result = new StringBuilder(digits);
        for (int at = digits.Length - 3; at > 0; at -= 3)
        {
            result.Insert(at, grouping);
        }

        return result.ToString();
    }

    private static string Align(RenderContext context, string text, int width, char fill, char align, string? filling = null)
    {
        filling ??= fill.ToString();
        context.Work(text.Length);
        int missing = Math.Min(width, MaxWidth) - CodePoints.Count(text);
        if (width > MaxWidth)
        {
            throw new TemplateException($"a format asks for a width of {width}; at most {MaxWidth} are given");
        }

        if (missing <= 0)
        {
            return text;
        }

        context.Step(missing / 2);
        context.Allocate(4 * sizeof(char) * ((long)missing + text.Length));
        int before = align switch { '<' => 0, '^' => missing / 2, _ => missing };
        string padding = string.Concat(Enumerable.Repeat(filling, before)), behind = string.Concat(Enumerable.Repeat(filling, missing - before));
        int sign = align == '=' && text.Length > 0 && text[0] is '-' or '+' or ' ' ? 1 : 0;
        return text[..sign] + padding + text[sign..] + behind;
    }

    private static string FormatSpec(RenderContext context, object? value, string spec)
    {
        if (spec.Length == 0)
        {
            return PythonText.ToText(context, value);
        }

        int i = 0;
        string filling = " ";
        char align = '\0';
        int first = char.IsHighSurrogate(spec[0]) && spec.Length > 1 ? 2 : 1;
        if (spec.Length > first && spec[first] is '<' or '>' or '=' or '^')
        {
            (filling, align, i) = (spec[..first], spec[first], first + 1);
        }
        else if (spec[0] is '<' or '>' or '=' or '^')
        {
            (align, i) = (spec[0], 1);
        }

        char sign = i < spec.Length && spec[i] is '+' or '-' or ' ' ? spec[i++] : '-';
        bool alternate = i < spec.Length && spec[i] == '#' && i++ >= 0;
        if (i < spec.Length && spec[i] == '0')
        {
            (filling, align) = align == '\0' ? ("0", '=') : (filling, align);
            i++;
        }

        object? None() => throw new TemplateException("Invalid format specifier");
        int width = Math.Max(0, Number(spec, ref i, None));
        char grouping = i < spec.Length && spec[i] is ',' or '_' ? spec[i++] : '\0';
        int precision = -1;
        if (i < spec.Length && spec[i] == '.')
        {
            i++;
            precision = Number(spec, ref i, None);
        }

        char kind = i < spec.Length ? spec[i++] : '\0';
        if (i < spec.Length)
        {
            throw new TemplateException("Invalid format specifier");
        }

        bool isNumber = PythonNumbers.IsNumber(value) && !(value is bool && kind is '\0' or 's');
        string text;
        if (!isNumber)
        {
            if (value is not (string or bool) || kind is not ('\0' or 's') || (align == '=' && filling != "0"))
            {
                throw new TemplateException(value is string
                    ? $"Unknown format code '{kind}' for object of type 'str'"
                    : $"unsupported format string passed to {PythonText.TypeName(value)}.__format__");
            }

            text = PythonText.ToText(context, value);
            text = precision >= 0 ? string.Concat(context.Split(text).Take(precision)) : text;
            align = align is '\0' or '=' ? '<' : align;
        }
        else if (kind == 'c')
        {
            text = char.ConvertFromUtf32((int)Math.Clamp(PythonNumbers.AsIndex(value, "%c"), 0, 0xD7FF));
        }
        else
        {
            text = FormatNumber(context, value!, kind == '\0' && value is not double ? 'd' : kind, precision, sign, alternate, grouping);
        }

        return Align(context, text, width, ' ', align == '\0' ? '>' : align, filling);
    }

    private static int FieldEnd(string format, int start)
    {
        int depth = 0;
        for (int i = start; i < format.Length; i++)
        {
            depth += format[i] == '{' ? 1 : format[i] == '}' ? -1 : 0;
            if (depth == 0)
            {
                return i;
            }
        }

        throw new TemplateException("expected '}' before end of string");
    }

    private static object? Field(RenderContext context, string name, CallArguments arguments, ref int next)
    {
        int end = name.AsSpan().IndexOfAny('.', '[');
        string first = end < 0 ? name : name[..end];
        object? value;
        if (first.Length == 0 || int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            int index = first.Length == 0 ? next++ : int.Parse(first, CultureInfo.InvariantCulture);
            value = index < arguments.Positional.Count
                ? arguments.Positional[index]
                : throw new TemplateException($"Replacement index {index} out of range for positional args tuple");
        }
        else
        {
            context.Step(arguments.Named.Count / 8);
            int at = arguments.Named.FindIndex(argument => argument.Name == first);
            value = at >= 0 ? arguments.Named[at].Value : throw new TemplateException($"the format names '{Codecs.Files.Printable.Shorten(first)}', which is not given");
        }

        while (end >= 0 && end < name.Length)
        {
            bool member = name[end] == '.';
            int stop = member ? name.AsSpan(end + 1).IndexOfAny('.', '[') : name.AsSpan(end + 1).IndexOf(']');
            stop = stop < 0 ? member ? name.Length : throw new TemplateException("Missing ']' in format string") : end + 1 + stop;
            string key = name[(end + 1)..stop];
            value = member ? JinjaMembers.GetAttribute(context, value, key)
                : JinjaMembers.GetItem(context, value, long.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out long index) ? index : key);
            end = member ? stop : stop + 1;
        }

        return value;
    }

    /// <summary>A width or precision; -1 if there is none.</summary>
    private static int Number(string text, ref int at, Func<object?> star)
    {
        if (at < text.Length && text[at] == '*')
        {
            at++;
            return (int)Math.Clamp(PythonNumbers.AsIndex(star(), "a width"), 0, int.MaxValue);
        }

        int start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }

        return at == start ? -1
            : int.TryParse(text.AsSpan(start, at - start), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number
            : throw new TemplateException($"a format has a number that is far too large");
    }
}
