using System.Collections.Frozen;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;

namespace KQuant.Models.Templates;

/// <summary>What stands behind a bar: functions of a value.</summary>
internal static partial class JinjaFilters
{
    private delegate object? Filter(RenderContext context, object? value, CallArguments arguments);

    private static readonly FrozenDictionary<string, Filter> All = new Dictionary<string, Filter>
    {
        ["abs"] = (_, value, _) => Need(value) is double number ? Math.Abs(number) : PythonNumbers.Integer(BigInteger.Abs(PythonNumbers.AsBig(value!))),
        ["attr"] = (context, value, arguments) => value is JinjaDict
            ? JinjaMethods.Find(value, arguments.Text(0, "name")) ?? new UndefinedValue($"no attribute '{arguments.Text(0, "name")}'") as object
            : JinjaMembers.GetAttribute(context, value, arguments.Text(0, "name")),
        ["batch"] = (context, value, arguments) => Batch(context, value, arguments),
        ["capitalize"] = (context, value, _) => StringMethods.Call(context, PythonText.ToText(context, value), "capitalize", CallArguments.None),
        ["center"] = (context, value, arguments) => Method(context, value, "center", new CallArguments("center", [arguments.Integer(0, "width", 80)], [])),
        ["count"] = Length,
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = DictSort,
        ["e"] = (context, value, _) => Escape(context, value),
        ["escape"] = (context, value, _) => Escape(context, value),
        ["first"] = (context, value, _) => context.Iterate(value).DefaultIfEmpty(new UndefinedValue("No first item, sequence was empty.")).First(),
        ["float"] = (context, value, arguments) => ToFloat(context, value, arguments.Get(0, "default", 0.0)),
        ["forceescape"] = (context, value, _) => Escape(context, value),
        ["format"] = (context, value, arguments) => context.Charge(PythonFormat.Percent(
            context, PythonText.ToText(context, value), arguments.Named.Count > 0 ? Named(arguments) : new JinjaTuple([.. arguments.Positional]))),
        ["from_json"] = (context, value, _) => FromJson(context, value),
        ["groupby"] = GroupBy,
        ["indent"] = Indent,
        ["int"] = (context, value, arguments) => ToInt(context, value, arguments.Get(0, "default", 0L), arguments.Integer(1, "base", 10)),
        ["items"] = (context, value, _) => new JinjaGenerator(Items(context, value), value),
        ["join"] = Join,
        ["last"] = (context, value, _) => context.ToList(value is JinjaGenerator
            ? throw new TemplateException("'generator' object is not reversible")
            : value).DefaultIfEmpty(new UndefinedValue("No last item, sequence was empty.")).Last(),
        ["length"] = Length,
        ["list"] = (context, value, _) => new JinjaList(context.ToList(value)),
        ["lower"] = (context, value, _) => StringMethods.Call(context, PythonText.ToText(context, value), "lower", CallArguments.None),
        ["map"] = (context, value, arguments) => new JinjaGenerator(Map(context, value, arguments), value),
        ["max"] = (context, value, arguments) => Extreme(context, value, arguments, 1),
        ["min"] = (context, value, arguments) => Extreme(context, value, arguments, -1),
        ["reject"] = (context, value, arguments) => new JinjaGenerator(Select(context, value, arguments, byAttribute: false, wanted: false), value),
        ["rejectattr"] = (context, value, arguments) => new JinjaGenerator(Select(context, value, arguments, byAttribute: true, wanted: false), value),
        ["replace"] = (context, value, arguments) => StringMethods.Replace(
            context,
            PythonText.ToText(context, value),
            PythonText.ToText(context, arguments[0, "old"]),
            PythonText.ToText(context, arguments[1, "new"]),
            arguments.Get(2, "count", null) is { } count ? PythonNumbers.AsIndex(count, "replace") : -1),
        ["reverse"] = (context, value, _) => value is string text
            ? context.Charge(string.Concat(context.Split(text).Reverse()))
            : new JinjaGenerator(Enumerable.Reverse(context.ToList(value)), null),
        ["round"] = Round,
        ["safe"] = (context, value, _) => new Markup(PythonText.ToText(context, value)),
        ["select"] = (context, value, arguments) => new JinjaGenerator(Select(context, value, arguments, byAttribute: false, wanted: true), value),
        ["selectattr"] = (context, value, arguments) => new JinjaGenerator(Select(context, value, arguments, byAttribute: true, wanted: true), value),
        ["slice"] = (context, value, arguments) => Slices(context, value, arguments),
        ["sort"] = Sort,
        ["string"] = (context, value, _) => PythonText.ToText(context, value),
        ["sum"] = Sum,
        ["title"] = (context, value, _) => Title(context, value),
        ["tojson"] = (context, value, arguments) => PythonJson.Dump(context, value, PythonJson.Options.Of(context, arguments)),
        ["trim"] = (context, value, arguments) => context.Charge(
            StringMethods.Strip(context, PythonText.ToText(context, value), arguments.Get(0, "chars", null), true, true)),
        ["truncate"] = Truncate,
        ["unique"] = (context, value, arguments) => new JinjaGenerator(Unique(context, value, arguments), value),
        ["upper"] = (context, value, _) => StringMethods.Call(context, PythonText.ToText(context, value), "upper", CallArguments.None),
        ["wordcount"] = (context, value, _) => (long)WordCount(context, PythonText.ToText(context, value)),
    }.ToFrozenDictionary();

    public static bool Exists(string name) => All.ContainsKey(name);

    public static object? Apply(RenderContext context, string name, object? value, CallArguments arguments) =>
        Markup.Unwrap(ApplyMarked(context, name, value, arguments));

    /// <summary>A filter on a value that may be <see cref="Markup"/>, with a result that may be one.</summary>
    public static object? ApplyMarked(RenderContext context, string name, object? value, CallArguments arguments)
    {
        if (!All.TryGetValue(name, out Filter? filter))
        {
            throw new TemplateException($"No filter named '{Codecs.Files.Printable.Shorten(name)}'.");
        }

        if (value is not Markup marked)
        {
            return filter(context, value, arguments);
        }

        if (name is "e" or "escape" or "safe")
        {
            return marked;
        }

        object? result = filter(context, marked.Text, arguments);
        return result is string text && KeepsMark(name)
            ? new Markup(text)
            : result;
    }

    private static bool KeepsMark(string name) =>
        name is "string" or "lower" or "upper" or "title" or "capitalize" or "trim" or "center" or "indent" or "d" or "default";

    private static object? Method(RenderContext context, object? value, string name, CallArguments arguments) =>
        StringMethods.Call(context, PythonText.ToText(context, value), name, arguments);

    private static object Need(object? value) => PythonNumbers.IsNumber(value)
        ? value!
        : throw new TemplateException(value is UndefinedValue undefined ? undefined.Problem : $"a number is needed, not {PythonText.TypeName(value)}");

    private static JinjaDict Named(CallArguments arguments)
    {
        var dict = new JinjaDict();
        arguments.Named.ForEach(argument => dict[argument.Name] = argument.Value);
        return dict;
    }

    private static object Length(RenderContext context, object? value, CallArguments arguments) => value switch
    {
        string text => CountPoints(context, text),
        JinjaList list => list.Items.Count,
        JinjaTuple tuple => tuple.Items.Length,
        JinjaDict dict => dict.Count,
        JinjaRange range => range.Count,
        JinjaView view => view.Items.Count,
        UndefinedValue => 0,
        _ => throw new TemplateException($"object of type '{PythonText.TypeName(value)}' has no len()"),
    } * 1L;

    private static int CountPoints(RenderContext context, string text)
    {
        context.Scan(text.Length);
        if (CodePoints.AreUnits(text))
        {
            return text.Length;
        }

        context.Work(text.Length);
        return CodePoints.Count(text);
    }

    private static object? Default(RenderContext context, object? value, CallArguments arguments) =>
        value is UndefinedValue || (arguments.Flag(1, "boolean", false) && !PythonText.IsTrue(value)) ? arguments.Get(0, "default_value", "") : value;

    private static Markup Escape(RenderContext context, object? value)
    {
        string text = PythonText.ToText(context, value);
        context.Work(text.Length);
        context.Allocate(8L * sizeof(char) * text.Length);
        return new Markup(context.Charge(Markup.Escape(text)));
    }

    private static string Join(RenderContext context, object? value, CallArguments arguments)
    {
        string separator = PythonText.ToText(context, arguments.Get(0, "d", ""));
        object? attribute = arguments.Get(1, "attribute", null);
        var result = new StringBuilder();
        bool first = true;
        foreach (object? item in context.Iterate(value))
        {
            context.Write(result, first ? "" : separator);
            first = false;
            context.Write(result, PythonText.ToText(context, attribute is null ? item : Attribute(context, item, attribute)));
        }

        return context.Charge(result.ToString());
    }

    private static string Indent(RenderContext context, object? value, CallArguments arguments)
    {
        object? width = arguments.Get(0, "width", 4L);
        string indent = width as string ?? new string(' ', (int)Math.Clamp(PythonNumbers.AsIndex(width, "indent"), 0, 10_000));
        bool first = arguments.Flag(1, "first", false), blank = arguments.Flag(2, "blank", false);
        string text = value as string ?? throw new TemplateException($"indent needs a string, not {PythonText.TypeName(value)}");
        text = context.Charge(text + "\n");
        var lines = (JinjaList)Method(context, text, "splitlines", CallArguments.None)!;
        var result = new StringBuilder(first ? indent : "");
        for (int i = 0; i < lines.Items.Count; i++)
        {
            string line = (string)lines.Items[i]!;
            context.Write(result, i == 0 ? "" : "\n");
            context.Write(result, i > 0 && (blank || line.Length > 0) ? indent : "");
            context.Write(result, line);
        }

        return context.Charge(result.ToString());
    }

    private static object? Round(RenderContext context, object? value, CallArguments arguments)
    {
        context.Step(64);
        long precision = Math.Clamp(arguments.Integer(0, "precision", 0), -400, 400);
        string method = arguments.Text(1, "method", "common");
        object number = Need(value);
        if (method == "common")
        {
            return number is double real ? PythonNumbers.Round(real, (int)precision) : precision >= 0 ? PythonNumbers.Integer(PythonNumbers.AsBig(number))
                : PythonNumbers.Integer(new BigInteger(PythonNumbers.Round(PythonNumbers.AsDouble(number), (int)precision)));
        }

        double scale = Math.Pow(10, precision), scaled = PythonNumbers.AsDouble(number) * scale;
        return method switch
        {
            "ceil" => Math.Ceiling(scaled) / scale,
            "floor" => Math.Floor(scaled) / scale,
            _ => throw new TemplateException("method must be common, ceil or floor"),
        };
    }

    private static string Title(RenderContext context, object? value)
    {
        var result = new StringBuilder();
        bool starts = true;
        string source = PythonText.ToText(context, value);
        context.Work(2L * source.Length);
        foreach (string point in context.Split(source))
        {
            bool separates = point is "-" or "(" or "{" or "[" or "<" || PythonText.IsSpace(point[0]);
            result.Append(separates ? point : starts ? CodePoints.Upper(point) : CodePoints.Lower(point));
            starts = separates;
        }

        return context.Charge(result.ToString());
    }

    private static string Truncate(RenderContext context, object? value, CallArguments arguments)
    {
        string text = PythonText.ToText(context, value);
        long length = arguments.Integer(0, "length", 255);
        string end = arguments.Text(2, "end", "...");
        long leeway = arguments.Get(3, "leeway", null) is { } given ? PythonNumbers.AsIndex(given, "leeway") : 5;
        string[] points = context.Split(text);
        int endLength = CodePoints.Count(end);
        if (length < endLength || leeway < 0)
        {
            throw new TemplateException($"expected length >= {endLength}, got {length}");
        }

        if (points.Length <= length + leeway)
        {
            return text;
        }

        string cut = string.Concat(points.Take((int)(length - endLength)));
        int space = arguments.Flag(1, "killwords", false) ? -1 : cut.LastIndexOf(' ');
        return context.Charge((space < 0 ? cut : cut[..space]) + end);
    }

    private static int WordCount(RenderContext context, string text)
    {
        context.Work(text.Length);
        int count = 0;
        bool inWord = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool word = Rune.IsLetterOrDigit(rune) || rune.Value == '_';
            count += word && !inWord ? 1 : 0;
            inWord = word;
        }

        return count;
    }

    private static object? ToInt(RenderContext context, object? value, object? standard, long radix)
    {
        switch (value)
        {
            case bool or long or BigInteger: return PythonNumbers.Integer(PythonNumbers.AsBig(value));
            case double number: return double.IsNaN(number) || double.IsInfinity(number) ? standard : PythonNumbers.Integer(new BigInteger(number));
            case UndefinedValue undefined: throw new TemplateException(undefined.Problem);
            case string text:
                ChargeNumber(context, text);
                string digits = StringMethods.Strip(context, text, null, true, true).Replace("_", "", StringComparison.Ordinal);
                string sign = digits.StartsWith('-') || digits.StartsWith('+') ? digits[..1] : "";
                string magnitude = digits[sign.Length..];
                magnitude = radix == 16 && magnitude.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? magnitude[2..] : magnitude;
                magnitude = radix == 2 && magnitude.StartsWith("0b", StringComparison.OrdinalIgnoreCase) ? magnitude[2..] : magnitude;
                magnitude = radix == 8 && magnitude.StartsWith("0o", StringComparison.OrdinalIgnoreCase) ? magnitude[2..] : magnitude;
                if (magnitude.Length is > 0 and <= 1000 && magnitude.All(c => DigitOf(c) < radix))
                {
                    BigInteger result = magnitude.Aggregate(BigInteger.Zero, (total, c) => (total * radix) + DigitOf(c));
                    return PythonNumbers.Integer(sign == "-" ? -result : result);
                }

                return ToFloat(context, text, double.NaN) is double real && !double.IsNaN(real) && !double.IsInfinity(real)
                    ? PythonNumbers.Integer(new BigInteger(real))
                    : standard;
            default: return standard;
        }
    }

    private static void ChargeNumber(RenderContext context, string text)
    {
        context.Work(4L * text.Length);
        context.Step(Math.Min(text.Length, 1000));
        context.Allocate(4 * sizeof(char) * (long)text.Length);
    }

    private static int DigitOf(char c) => char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? (c | 0x20) - 'a' + 10 : int.MaxValue;

    private static object? ToFloat(RenderContext context, object? value, object? standard)
    {
        switch (value)
        {
            case bool or long or BigInteger or double: return PythonNumbers.AsDouble(value);
            case UndefinedValue undefined: throw new TemplateException(undefined.Problem);
            case string text:
                ChargeNumber(context, text);
                string trimmed = StringMethods.Strip(context, text, null, true, true).ToLowerInvariant();
                string sign = trimmed.StartsWith('-') || trimmed.StartsWith('+') ? trimmed[..1] : "";
                double? special = trimmed[sign.Length..] switch { "inf" or "infinity" => double.PositiveInfinity, "nan" => double.NaN, _ => null };
                if (special is double infinite)
                {
                    return sign == "-" ? -infinite : infinite;
                }

                const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
                return double.TryParse(trimmed.Replace("_", "", StringComparison.Ordinal), style, CultureInfo.InvariantCulture, out double number)
                    ? number
                    : standard;
            default: return standard;
        }
    }

    private static object? FromJson(RenderContext context, object? value)
    {
        const int bytesOfCharacter = 64;
        string text = value as string ?? throw new TemplateException($"from_json needs a string, not {PythonText.TypeName(value)}");
        context.Step(text.Length);
        context.Allocate((long)bytesOfCharacter * text.Length);
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return JinjaInput.Convert(document.RootElement);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Half of a surrogate pair is an InvalidOperationException.
            throw new TemplateException($"from_json got no JSON: {exception.Message}");
        }
    }
}
