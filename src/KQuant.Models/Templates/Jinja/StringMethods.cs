using System.Text;

namespace KQuant.Models.Templates;

/// <summary>The methods of Python's <c>str</c>.</summary>
internal static class StringMethods
{
    private static readonly System.Buffers.SearchValues<char> LineEnds =
        System.Buffers.SearchValues.Create("\n\r\v\f\x1C\x1D\x1E\u0085\u2028\u2029");

    /// <summary>A method of a text; null if there is none of that name. Calling it charges what it costs.</summary>
    public static Func<RenderContext, CallArguments, object?>? Find(string text, string name)
    {
        Func<RenderContext, CallArguments, object?>? body = FindBody(text, name);
        if (body is null || !LooksAtEach(name))
        {
            return body;
        }

        return (context, arguments) =>
        {
            // Most of them take the text apart into strings of one character.
            context.Work(text.Length);
            context.Elements(text.Length, CodePoints.AreUnits(text) ? 0 : 32);
            return body(context, arguments);
        };
    }

    /// <summary>Calls a method.</summary>
    public static object? Call(RenderContext context, string text, string name, CallArguments arguments) => Find(text, name)!(context, arguments);

    private static bool LooksAtEach(string name) => name is not ("strip" or "lstrip" or "rstrip" or "split" or "rsplit" or "splitlines" or "partition"
        or "rpartition" or "startswith" or "endswith" or "removeprefix" or "removesuffix" or "replace" or "find" or "rfind" or "index" or "rindex"
        or "count" or "join" or "format" or "isascii");

    private static Func<RenderContext, CallArguments, object?>? FindBody(string text, string name) => name switch
    {
        "upper" => (context, _) => context.Charge(CodePoints.Upper(text)),
        "lower" or "casefold" => (context, _) => context.Charge(CodePoints.Lower(text)),
        "capitalize" => (context, _) => context.Charge(Capitalize(text)),
        "title" => (context, _) => context.Charge(Title(text)),
        "swapcase" => (context, _) => context.Charge(string.Concat(CodePoints.Split(text).Select(point =>
            CodePoints.IsUpper(point) ? CodePoints.Lower(point) : CodePoints.Upper(point)))),
        "strip" => (context, arguments) => context.Charge(Strip(context, text, arguments.Get(0, "chars", null), true, true)),
        "lstrip" => (context, arguments) => context.Charge(Strip(context, text, arguments.Get(0, "chars", null), true, false)),
        "rstrip" => (context, arguments) => context.Charge(Strip(context, text, arguments.Get(0, "chars", null), false, true)),
        "split" => (context, arguments) => Split(context, text, arguments, fromRight: false),
        "rsplit" => (context, arguments) => Split(context, text, arguments, fromRight: true),
        "splitlines" => (context, arguments) => SplitLines(context, text, arguments.Flag(0, "keepends", false)),
        "partition" => (context, arguments) => Partition(context, text, arguments.Text(0, "sep"), fromRight: false),
        "rpartition" => (context, arguments) => Partition(context, text, arguments.Text(0, "sep"), fromRight: true),
        "startswith" => (context, arguments) => AnyAffix(context, arguments, affix => text.StartsWith(affix, StringComparison.Ordinal)),
        "endswith" => (context, arguments) => AnyAffix(context, arguments, affix => text.EndsWith(affix, StringComparison.Ordinal)),
        "removeprefix" => (context, arguments) => context.Charge(
            text.StartsWith(arguments.Text(0, "prefix"), StringComparison.Ordinal) ? text[arguments.Text(0, "prefix").Length..] : text),
        "removesuffix" => (context, arguments) => context.Charge(
            text.EndsWith(arguments.Text(0, "suffix"), StringComparison.Ordinal) ? text[..^arguments.Text(0, "suffix").Length] : text),
        "replace" => (context, arguments) => Replace(
            context, text, arguments.Text(0, "old"), arguments.Text(1, "new"), arguments.Integer(2, "count", -1)),
        "find" => (context, arguments) => Position(context, text, TextSearch.IndexOf(context, text, arguments.Text(0, "sub"), 0)),
        "rfind" => (context, arguments) => Position(context, text, TextSearch.LastIndexOf(context, text, arguments.Text(0, "sub"))),
        "index" => (context, arguments) => Position(context, text, TextSearch.IndexOf(context, text, arguments.Text(0, "sub"), 0)) is >= 0 and long at
            ? at
            : throw new TemplateException("substring not found"),
        "count" => (context, arguments) => Count(context, text, arguments.Text(0, "sub")),
        "join" => (context, arguments) => Join(context, text, arguments[0, "iterable"]),
        "format" => (context, arguments) => context.Charge(PythonFormat.Format(context, text, arguments)),
        "center" => (context, arguments) => Pad(context, text, arguments, 1),
        "ljust" => (context, arguments) => Pad(context, text, arguments, 0),
        "rjust" => (context, arguments) => Pad(context, text, arguments, 2),
        "zfill" => (context, arguments) => ZeroFill(context, text, arguments.Integer(0, "width", 0)),
        "expandtabs" => (context, arguments) => ExpandTabs(context, text, arguments.Integer(0, "tabsize", 8)),
        "isdigit" or "isnumeric" or "isdecimal" => (_, _) => All(text, point => IsDigit(point, name)),
        "isalpha" => (_, _) => All(text, point => char.IsLetter(point, 0)),
        "isalnum" => (_, _) => All(text, point => char.IsLetter(point, 0) || IsDigit(point, "isnumeric")),
        "isspace" => (_, _) => All(text, point => PythonText.IsSpace(point[0])),
        "isascii" => (_, _) => Ascii.IsValid(text),
        "isupper" => (_, _) => IsCased(text, CodePoints.IsUpper),
        "islower" => (_, _) => IsCased(text, CodePoints.IsLower),
        _ => null,
    };

    public static string Capitalize(string text)
    {
        string[] points = CodePoints.Split(text);
        return points.Length == 0 ? "" : CodePoints.Title(points[0]) + CodePoints.Lower(text[points[0].Length..]);
    }

    /// <summary><c>str.strip</c>: white space, or the characters of a set.</summary>
    public static string Strip(RenderContext context, string text, object? characters, bool left, bool right)
    {
        if (characters is not (null or string))
        {
            throw new TemplateException("strip arg must be None or str");
        }

        string? set = characters as string;
        if (set is not null)
        {
            context.Scan((long)set.Length + text.Length);
        }

        if (set is not null && !(CodePoints.AreUnits(set) && CodePoints.AreUnits(text)))
        {
            context.Work((long)set.Length + text.Length);
            context.Elements((long)set.Length + text.Length, 64);
            HashSet<string> points = [.. CodePoints.Split(set)];
            IEnumerable<string> rest = CodePoints.Split(text);
            rest = left ? rest.SkipWhile(points.Contains) : rest;
            rest = right ? rest.Reverse().SkipWhile(points.Contains).Reverse() : rest;
            return string.Concat(rest);
        }

        int looks = 0, start = 0, end = text.Length;
        bool Strips(char c)
        {
            if (++looks % 64 == 0)
            {
                context.Step(8 * (1 + ((set?.Length ?? 0) / 64L)));
            }

            return set is null ? PythonText.IsSpace(c) : set.Contains(c);
        }

        while (left && start < end && Strips(text[start]))
        {
            start++;
        }

        while (right && end > start && Strips(text[end - 1]))
        {
            end--;
        }

        return text[start..end];
    }

    public static string Replace(RenderContext context, string text, string old, string replacement, long count)
    {
        long times = count < 0 ? long.MaxValue : count;
        var result = new StringBuilder();
        int at = 0;
        if (old.Length == 0)
        {
            foreach (string point in context.Split(text))
            {
                context.Write(result, times-- > 0 ? replacement : "");
                context.Write(result, point);
            }

            context.Write(result, times > 0 ? replacement : "");
            return context.Charge(result.ToString());
        }

        for (int found; times > 0 && (found = TextSearch.IndexOf(context, text, old, at)) >= 0; times--)
        {
            context.Allocate(sizeof(char) * (long)(found - at));
            result.Append(text, at, found - at);
            context.Write(result, replacement);
            at = found + old.Length;
        }

        return context.Charge(result.Append(text, at, text.Length - at).ToString());
    }

    public static string Join(RenderContext context, string separator, object? items)
    {
        var result = new StringBuilder();
        int count = 0;
        foreach (object? item in context.Iterate(items))
        {
            string part = item as string
                ?? throw new TemplateException($"sequence item {count}: expected str instance, {PythonText.TypeName(item)} found");
            context.Write(result, count++ > 0 ? separator : "");
            context.Write(result, part);
        }

        return context.Charge(result.ToString());
    }

    private static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        bool inWord = false;
        foreach (string point in CodePoints.Split(text))
        {
            result.Append(inWord ? CodePoints.Lower(point) : CodePoints.Title(point));
            inWord = CodePoints.IsCased(point);
        }

        return result.ToString();
    }

    private static JinjaList Split(RenderContext context, string text, CallArguments arguments, bool fromRight)
    {
        object? separator = arguments.Get(0, "sep", null);
        long most = arguments.Integer(1, "maxsplit", -1);
        most = most < 0 ? long.MaxValue : most;
        List<string> parts = separator switch
        {
            null => SplitSpace(context, text, most, fromRight),
            "" => throw new TemplateException("empty separator"),
            string sign => SplitAt(context, text, sign, most, fromRight),
            _ => throw new TemplateException($"must be str or None, not {PythonText.TypeName(separator)}"),
        };
        return new JinjaList([.. parts]);
    }

    private static List<string> SplitAt(RenderContext context, string text, string separator, long most, bool fromRight)
    {
        var parts = new List<string>();
        if (!fromRight)
        {
            int at = 0;
            for (int found; most > 0 && (found = TextSearch.IndexOf(context, text, separator, at)) >= 0; most--)
            {
                context.Elements(1);
                parts.Add(context.Charge(text[at..found]));
                at = found + separator.Length;
            }

            parts.Add(context.Charge(text[at..]));
            return parts;
        }

        int end = text.Length;
        for (int found; most > 0 && (found = TextSearch.LastIndexOf(context, text.AsSpan(0, end), separator)) >= 0; most--)
        {
            context.Elements(1);
            parts.Add(context.Charge(text[(found + separator.Length)..end]));
            end = found;
        }

        parts.Add(context.Charge(text[..end]));
        parts.Reverse();
        return parts;
    }

    private static List<string> SplitSpace(RenderContext context, string text, long most, bool fromRight)
    {
        context.Work(text.Length);
        var parts = new List<string>();
        int start = 0, end = text.Length;
        while (true)
        {
            while (start < end && PythonText.IsSpace(text[fromRight ? end - 1 : start]))
            {
                _ = fromRight ? end-- : start++;
            }

            if (start == end)
            {
                break;
            }

            if (most-- == 0)
            {
                parts.Add(text[start..end]);
                break;
            }

            int at = fromRight ? end : start;
            while (fromRight ? at > start && !PythonText.IsSpace(text[at - 1]) : at < end && !PythonText.IsSpace(text[at]))
            {
                at += fromRight ? -1 : 1;
            }

            context.Elements(1);
            parts.Add(context.Charge(fromRight ? text[at..end] : text[start..at]));
            (start, end) = fromRight ? (start, at) : (at, end);
        }

        if (fromRight)
        {
            parts.Reverse();
        }

        return parts;
    }

    private static JinjaList SplitLines(RenderContext context, string text, bool keepEnds)
    {
        context.Work(text.Length);
        var lines = new List<object?>();
        for (int start = 0; start < text.Length;)
        {
            int end = text.AsSpan(start).IndexOfAny(LineEnds);
            end = end < 0 ? text.Length : start + end;
            int next = end == text.Length ? end : end + (text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? 2 : 1);
            context.Elements(1);
            lines.Add(context.Charge(text[start..(keepEnds ? next : end)]));
            start = next;
        }

        return new JinjaList(lines);
    }

    private static JinjaTuple Partition(RenderContext context, string text, string separator, bool fromRight)
    {
        if (separator.Length == 0)
        {
            throw new TemplateException("empty separator");
        }

        context.Allocate(sizeof(char) * (long)text.Length);
        int at = fromRight ? TextSearch.LastIndexOf(context, text, separator) : TextSearch.IndexOf(context, text, separator, 0);
        return at >= 0 ? new JinjaTuple([text[..at], separator, text[(at + separator.Length)..]])
            : fromRight ? new JinjaTuple(["", "", text])
            : new JinjaTuple([text, "", ""]);
    }

    private static bool AnyAffix(RenderContext context, CallArguments arguments, Func<string, bool> matches)
    {
        return arguments[0, "prefix"] switch
        {
            string affix => Matches(affix),
            JinjaTuple affixes => affixes.Items.Any(affix => affix is string text && Matches(text)),
            var other => throw new TemplateException(
                $"{arguments.Function} first arg must be str or a tuple of str, not {PythonText.TypeName(other)}"),
        };

        bool Matches(string affix)
        {
            context.Scan(affix.Length);
            return matches(affix);
        }
    }

    private static long Position(RenderContext context, string text, int at)
    {
        if (at <= 0)
        {
            return at;
        }

        context.Work(at);
        context.Allocate(sizeof(char) * (long)at);
        return CodePoints.Count(text[..at]);
    }

    private static long Count(RenderContext context, string text, string part)
    {
        if (part.Length == 0)
        {
            context.Work(text.Length);
            return CodePoints.Count(text) + 1L;
        }

        long count = 0;
        for (int at = 0; (at = TextSearch.IndexOf(context, text, part, at)) >= 0; at += part.Length)
        {
            count++;
        }

        return count;
    }

    private static string Pad(RenderContext context, string text, CallArguments arguments, int where)
    {
        string fill = arguments.Text(1, "fillchar", " ");
        if (CodePoints.Count(fill) != 1)
        {
            throw new TemplateException("The fill character must be exactly one character long");
        }

        long missing = Math.Max(0, arguments.Integer(0, "width", 0) - CodePoints.Count(text));
        RenderContext.CheckSize(text.Length + missing);
        context.Work(missing);
        context.Allocate(2 * sizeof(char) * (text.Length + (2 * missing)));

        // Python puts the odd one to the left if the width is odd as well.
        long before = where == 0 ? 0 : where == 2 ? missing : (missing / 2) + (missing & arguments.Integer(0, "width", 0) & 1);
        return context.Charge(Repeat(fill, before) + text + Repeat(fill, missing - before));
    }

    private static string Repeat(string text, long count) => new StringBuilder().Insert(0, text, (int)count).ToString();

    private static string ZeroFill(RenderContext context, string text, long width)
    {
        long missing = Math.Max(0, width - CodePoints.Count(text));
        RenderContext.CheckSize(text.Length + missing);
        context.Allocate(sizeof(char) * 2 * (text.Length + missing));
        int sign = text.StartsWith('-') || text.StartsWith('+') ? 1 : 0;
        return context.Charge(text[..sign] + new string('0', (int)missing) + text[sign..]);
    }

    private static string ExpandTabs(RenderContext context, string text, long size)
    {
        var result = new StringBuilder();
        long column = 0;
        foreach (char c in text)
        {
            if (c == '\t')
            {
                long spaces = size > 0 ? size - (column % size) : 0;
                RenderContext.CheckSize(result.Length + spaces);
                context.Allocate(sizeof(char) * spaces);
                context.Scan(spaces);
                result.Append(' ', (int)spaces);
                column += spaces;
            }
            else
            {
                result.Append(c);
                column = c is '\n' or '\r' ? 0 : column + (char.IsLowSurrogate(c) ? 0 : 1);
            }
        }

        return context.Charge(result.ToString());
    }

    private static bool All(string text, Func<string, bool> holds) => text.Length > 0 && Array.TrueForAll(CodePoints.Split(text), point => holds(point));

    private static bool IsDigit(string point, string method)
    {
        double value = char.GetNumericValue(point, 0);
        return method switch
        {
            "isdecimal" => char.IsDigit(point, 0),
            "isdigit" => char.IsDigit(point, 0) || (value is >= 0 and <= 9 && CodePoints.Category(point) == System.Globalization.UnicodeCategory.OtherNumber
                && value == Math.Floor(value) && !(point[0] is >= '\u3220' and <= '\u32FF')),
            _ => value >= 0 || char.IsNumber(point, 0),
        };
    }

    private static bool IsCased(string text, Func<string, bool> wanted)
    {
        string[] cased = Array.FindAll(CodePoints.Split(text), CodePoints.IsCased);
        return cased.Length > 0 && Array.TrueForAll(cased, point => wanted(point));
    }
}
