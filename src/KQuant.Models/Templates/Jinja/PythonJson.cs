using System.Globalization;
using System.Numerics;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>The <c>tojson</c> of transformers, which is <c>json.dumps</c> without escaping what is not ASCII, and <c>from_json</c>.</summary>
internal static class PythonJson
{
    /// <summary>What a number adds to a text, at most, but for very large ones.</summary>
    private const int BytesOfPart = 64;

    /// <summary>Writes a value.</summary>
    /// <param name="context">What the rendering may use up.</param>
    /// <param name="value">The value.</param>
    /// <param name="options">How.</param>
    /// <returns>The JSON text.</returns>
    public static string Dump(RenderContext context, object? value, Options options)
    {
        var result = new StringBuilder();
        Write(context, result, value, options, 0);
        return context.Charge(result.ToString());
    }

    private static void Write(RenderContext context, StringBuilder result, object? value, Options options, int depth)
    {
        context.Step(value is BigInteger ? PythonNumbers.MaxBits / 16 : 2);
        context.Allocate(BytesOfPart);
        RenderContext.CheckSize(result.Length);
        switch (value)
        {
            case null: result.Append("null"); break;
            case bool flag: result.Append(flag ? "true" : "false"); break;
            case long or BigInteger or double: result.Append(Number(value)); break;
            case string text: Quote(context, result, text, options.AsciiOnly); break;
            case JinjaList list: WriteItems(context, result, list.Items, options, depth); break;
            case JinjaTuple tuple: WriteItems(context, result, tuple.Items, options, depth); break;
            case JinjaDict dict: WriteMembers(context, result, dict, options, depth); break;
            default: throw new TemplateException($"Object of type {PythonText.TypeName(value)} is not JSON serializable");
        }
    }

    private static string Number(object value) => value switch
    {
        double number => PythonText.Float(number) switch { "nan" => "NaN", "inf" => "Infinity", "-inf" => "-Infinity", string text => text },
        _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
    };

    private static void WriteItems(RenderContext context, StringBuilder result, IReadOnlyList<object?> items, Options options, int depth)
    {
        if (items.Count == 0)
        {
            result.Append("[]");
            return;
        }

        result.Append('[');
        for (int i = 0; i < items.Count; i++)
        {
            Separate(context, result, options, depth + 1, i > 0);
            Write(context, result, items[i], options, depth + 1);
        }

        Separate(context, result, options, depth, false);
        result.Append(']');
    }

    private static void WriteMembers(RenderContext context, StringBuilder result, JinjaDict dict, Options options, int depth)
    {
        if (dict.Count == 0)
        {
            result.Append("{}");
            return;
        }

        result.Append('{');
        bool first = true;
        IEnumerable<(object? Key, object? Value)> entries = dict.Entries;
        if (options.SortsKeys)
        {
            context.Elements(dict.Count, 32);
            entries = entries.OrderBy(entry => entry.Key, Comparer<object?>.Create((a, b) => PythonCompare.Order(context, a, b, "<") ?? 0));
        }

        foreach ((object? name, object? value) in entries)
        {
            Separate(context, result, options, depth + 1, !first);
            first = false;
            string key = name switch
            {
                string text => text,
                null => "null",
                bool flag => flag ? "true" : "false",
                long or BigInteger or double => Number(name),
                object other => throw new TemplateException($"keys must be str, int, float, bool or None, not {PythonText.TypeName(other)}"),
            };
            Quote(context, result, key, options.AsciiOnly);
            result.Append(options.KeySeparator);
            Write(context, result, value, options, depth + 1);
        }

        Separate(context, result, options, depth, false);
        result.Append('}');
    }

    private static void Separate(RenderContext context, StringBuilder result, Options options, int depth, bool isItem)
    {
        result.Append(isItem ? options.ItemSeparator : "");
        if (options.Indent is string indent)
        {
            RenderContext.CheckSize(result.Length + ((long)indent.Length * depth));
            context.Allocate(sizeof(char) * (long)indent.Length * depth);
            context.Step(1 + depth + (((long)indent.Length * depth) / 64));
            result.Append('\n').Insert(result.Length, indent, depth);
        }
    }

    private static void Quote(RenderContext context, StringBuilder result, string text, bool asciiOnly)
    {
        context.Work(text.Length);
        context.Allocate(sizeof(char) * (long)text.Length);
        result.Append('"');
        foreach (char c in text)
        {
            _ = c switch
            {
                '"' => result.Append("\\\""),
                '\\' => result.Append("\\\\"),
                '\n' => result.Append("\\n"),
                '\r' => result.Append("\\r"),
                '\t' => result.Append("\\t"),
                '\b' => result.Append("\\b"),
                '\f' => result.Append("\\f"),
                < ' ' => result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                > '~' when asciiOnly && c != '\x7F' && context.Marks?.TryGetOriginal(c, out _) != true => result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => result.Append(c),
            };
        }

        result.Append('"');
    }

    /// <summary>The parameters of <c>json.dumps</c>.</summary>
    internal sealed record Options(bool AsciiOnly, string? Indent, string ItemSeparator, string KeySeparator, bool SortsKeys)
    {
        /// <summary>Those that a template gives to <c>tojson</c>.</summary>
        public static Options Of(RenderContext context, CallArguments arguments)
        {
            arguments.AtMost(4, "ensure_ascii", "indent", "separators", "sort_keys");
            object? indent = arguments.Get(1, "indent", null);
            string? text = indent switch
            {
                null => null,
                string given => given,
                _ => new string(' ', (int)Math.Clamp(PythonNumbers.AsIndex(indent, "indent"), 0, 1000)),
            };
            (string item, string key) = (text is null ? ", " : ",", ": ");
            if (arguments.Get(2, "separators", null) is not null and object separators)
            {
                List<object?> given = context.ToList(separators);
                (item, key) = given is [string first, string second] ? (first, second) : throw new TemplateException("separators are two strings");
            }

            return new Options(arguments.Flag(0, "ensure_ascii", false), text, item, key, arguments.Flag(3, "sort_keys", false));
        }
    }
}
