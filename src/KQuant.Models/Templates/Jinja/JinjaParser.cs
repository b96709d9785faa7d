using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace KQuant.Models.Templates;

/// <summary>Builds the statements of a template. The grammar is that of Python's jinja2, with its own order of operators.</summary>
internal sealed partial class JinjaParser
{
    private const int MaxDepth = 200;

    private readonly List<JinjaToken> _tokens;
    private readonly HashSet<string> _namesRead = [];
    private readonly HashSet<string> _allNames = new(StringComparer.Ordinal);
    private readonly HashSet<string> _texts = new(StringComparer.Ordinal);
    private int _at;
    private int _depth;
    private int _loops;

    private JinjaParser(List<JinjaToken> tokens) => _tokens = tokens;

    private JinjaToken Current => _tokens[_at];

    private int Line => Current.Line;

    /// <exception cref="TemplateException">The text is no template.</exception>
    public static ParsedTemplate Parse(string source)
    {
        var parser = new JinjaParser(JinjaLexer.Tokenize(source));
        Statement result = parser.Body();
        return parser.Current.Kind == TokenKind.End
            ? new ParsedTemplate(result, parser._allNames, parser._texts)
            : throw new TemplateException($"unexpected tag {parser._tokens[parser._at + 1].Describe()}", parser.Line);
    }

    /// <summary>Statements up to a tag with one of some names, which stays, or to the end.</summary>
    private Block Body(params ReadOnlySpan<string> ends)
    {
        Enter();
        int line = Line;
        var statements = new List<Statement>();
        while (Current.Kind != TokenKind.End)
        {
            if (Current.Kind == TokenKind.BlockBegin)
            {
                JinjaToken name = _tokens[_at + 1];
                if (name.Kind == TokenKind.Name && ends.Contains(name.Text))
                {
                    break;
                }

                if (ends.IsEmpty && name.Kind == TokenKind.Name && (name.Text.StartsWith("end", StringComparison.Ordinal) || name.Text is "else" or "elif"))
                {
                    break;
                }

                _at++;
                statements.Add(Tag());
                continue;
            }

            JinjaToken token = Take();
            if (token.Kind == TokenKind.Data)
            {
                statements.Add(new TextOutput(token.Line, token.Text));
                continue;
            }

            Expression value = Tuple();
            Expect(TokenKind.VariableEnd);
            statements.Add(new ValueOutput(token.Line, value));
        }

        _depth--;
        return new Block(line, statements);
    }

    /// <summary>Statements up to the tag that ends them, which is taken.</summary>
    private Block BodyUntil(string end)
    {
        Block body = Body(end);
        EndTag(end);
        return body;
    }

    private void EndTag(string name)
    {
        if (Current.Kind != TokenKind.BlockBegin)
        {
            throw Error($"unexpected {Current.Describe()}; the tag '{name}' is missing");
        }

        _at++;
        ExpectName(name);
        Expect(TokenKind.BlockEnd);
    }

    private Statement Tag()
    {
        JinjaToken name = Expect(TokenKind.Name);
        switch (name.Text)
        {
            case "if": return If(name.Line);
            case "for": return For(name.Line);
            case "set": return Set(name.Line);
            case "macro": return Macro(name.Line);
            case "call": return CallBlock(name.Line);
            case "with": return With(name.Line);
            case "filter":
                FilterCall filter = Filters(null) ?? throw Error("a filter block has no filter");
                Expect(TokenKind.BlockEnd);
                return new CaptureStatement(name.Line, null, filter, BodyUntil("endfilter"));
            case "generation":
                Expect(TokenKind.BlockEnd);
                return new CaptureStatement(name.Line, null, null, BodyUntil("endgeneration"));
            case "break" or "continue":
                if (_loops == 0)
                {
                    throw Error($"'{name.Text}' outside of a loop");
                }

                Expect(TokenKind.BlockEnd);
                return new Jump(name.Line, name.Text == "break" ? Flow.Break : Flow.Continue);
            case "print":
                Expression printed = Tuple();
                Expect(TokenKind.BlockEnd);
                return new ValueOutput(name.Line, printed);
            case "include" or "import" or "from" or "extends" or "block":
                throw Error($"the tag '{name.Text}' is not supported: a chat template is one file");
            default:
                throw Error($"unknown tag '{Codecs.Files.Printable.Shorten(name.Text)}'");
        }
    }

    private IfStatement If(int line)
    {
        Expression test = Tuple(withConditional: false);
        Expect(TokenKind.BlockEnd);
        Block then = Body("elif", "else", "endif");
        if (Current.Kind != TokenKind.BlockBegin)
        {
            throw Error("unexpected end of template; the tag 'endif' is missing");
        }

        _at++;
        JinjaToken end = Take();
        Statement? otherwise = null;
        if (end.IsName("elif"))
        {
            Enter();
            otherwise = If(end.Line);
            _depth--;
            return new IfStatement(line, test, then, otherwise);
        }

        Expect(TokenKind.BlockEnd);
        if (end.IsName("else"))
        {
            otherwise = BodyUntil("endif");
        }

        return new IfStatement(line, test, then, otherwise);
    }

    private ForStatement For(int line)
    {
        Expression target = Target();
        ExpectName("in");
        Expression items = Tuple(withConditional: false, end: "recursive");
        Expression? test = SkipName("if") ? Expression() : null;
        bool recursive = SkipName("recursive");
        Expect(TokenKind.BlockEnd);
        _loops++;
        Block body = Body("endfor", "else");
        _loops--;
        Statement? otherwise = null;
        if (Current.Kind == TokenKind.BlockBegin && _tokens[_at + 1].IsName("else"))
        {
            _at += 2;
            Expect(TokenKind.BlockEnd);
            otherwise = Body("endfor");
        }

        EndTag("endfor");
        return new ForStatement(line, target, items, test, recursive, body, otherwise);
    }

    private Statement Set(int line)
    {
        Expression target = Target(withMember: true);
        if (SkipOperator("="))
        {
            Expression value = Tuple();
            Expect(TokenKind.BlockEnd);
            return new SetStatement(line, target, value);
        }

        FilterCall? filter = Filters(null);
        Expect(TokenKind.BlockEnd);
        return new CaptureStatement(line, target, filter, BodyUntil("endset"));
    }

    private MacroStatement Macro(int line)
    {
        string name = Expect(TokenKind.Name).Text;
        List<Parameter> parameters = Parameters();
        Expect(TokenKind.BlockEnd);
        return new MacroStatement(line, name, MacroBody(parameters, "endmacro"));
    }

    private CallStatement CallBlock(int line)
    {
        List<Parameter> parameters = Current.IsOperator("(") ? Parameters() : [];
        Expression target = Unary(withFilter: false, withCalls: false);
        if (!Current.IsOperator("("))
        {
            throw Error("a call block needs a call");
        }

        ArgumentList arguments = Arguments();
        Expect(TokenKind.BlockEnd);
        return new CallStatement(line, target, arguments, MacroBody(parameters, "endcall"));
    }

    private WithStatement With(int line)
    {
        var values = new List<(Expression, Expression)>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
            {
                ExpectOperator(",");
            }

            Expression target = Target();
            ExpectOperator("=");
            values.Add((target, Expression()));
        }

        Expect(TokenKind.BlockEnd);
        return new WithStatement(line, values, BodyUntil("endwith"));
    }

    private MacroBody MacroBody(List<Parameter> parameters, string end)
    {
        bool varargs = _namesRead.Remove("varargs"), kwargs = _namesRead.Remove("kwargs");
        int loops = _loops;
        _loops = 0;
        Block body = BodyUntil(end);
        _loops = loops;
        var result = new MacroBody(parameters, body, _namesRead.Contains("varargs"), _namesRead.Contains("kwargs"));
        foreach ((string name, bool was) in ((string, bool)[])[("varargs", varargs), ("kwargs", kwargs)])
        {
            _ = was && _namesRead.Add(name);
        }

        return result;
    }

    private List<Parameter> Parameters()
    {
        ExpectOperator("(");
        var parameters = new List<Parameter>();
        while (!Current.IsOperator(")"))
        {
            if (parameters.Count > 0)
            {
                ExpectOperator(",");
            }

            string name = Expect(TokenKind.Name).Text;
            bool hasDefault = SkipOperator("=");
            if (!hasDefault && parameters.Exists(parameter => parameter.Default is not null))
            {
                throw Error($"parameter '{name}' without default follows one with");
            }

            parameters.Add(new Parameter(name, hasDefault ? Expression() : null));
        }

        ExpectOperator(")");
        return parameters;
    }

    private Expression Target(bool withMember = false)
    {
        int line = Line;
        var items = new List<Expression>();
        bool isTuple = false;
        while (true)
        {
            if (SkipOperator("("))
            {
                Enter();
                items.Add(Target());
                _depth--;
                ExpectOperator(")");
            }
            else if (items.Count > 0 && Current.Kind != TokenKind.Name)
            {
                break;
            }
            else
            {
                string name = Expect(TokenKind.Name).Text;
                if (name is "true" or "false" or "none" or "True" or "False" or "None")
                {
                    throw Error($"cannot assign to '{name}'");
                }

                Expression target = new Variable(line, name);
                items.Add(withMember && SkipOperator(".") ? new MemberExpression(line, target, Expect(TokenKind.Name).Text) : target);
            }

            if (Current.IsName("in") || !SkipOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        return isTuple ? new ListDisplay(line, items, isTuple: true) : items[0];
    }

    private void Enter()
    {
        if (++_depth > MaxDepth)
        {
            throw Error($"tags and parentheses are nested deeper than {MaxDepth}");
        }

        RuntimeHelpers.EnsureSufficientExecutionStack();
    }

    private JinjaToken Take() => _tokens[_at].Kind == TokenKind.End ? _tokens[_at] : _tokens[_at++];

    private JinjaToken Expect(TokenKind kind)
    {
        if (Current.Kind != kind)
        {
            string expected = kind switch
            {
                TokenKind.BlockEnd => "end of statement block",
                TokenKind.VariableEnd => "end of print statement",
                _ => "name",
            };
            throw Error($"expected {expected}, got {Current.Describe()}");
        }

        return Take();
    }

    private void ExpectName(string name)
    {
        if (!SkipName(name))
        {
            throw Error($"expected '{name}', got {Current.Describe()}");
        }
    }

    private void ExpectOperator(string text)
    {
        if (!SkipOperator(text))
        {
            throw Error($"expected '{text}', got {Current.Describe()}");
        }
    }

    private bool SkipName(string name)
    {
        bool found = Current.IsName(name);
        _at += found ? 1 : 0;
        return found;
    }

    private bool SkipOperator(string text)
    {
        bool found = Current.IsOperator(text);
        _at += found ? 1 : 0;
        return found;
    }

    private TemplateException Error(string problem) => new(problem, Line);

    private static object ParseInteger(string text)
    {
        text = text.Replace("_", "", StringComparison.Ordinal);
        if (text.Length > 2 && text[0] == '0' && char.IsAsciiLetter(text[1]))
        {
            BigInteger value = 0;
            int radix = text[1] is 'x' or 'X' ? 16 : text[1] is 'o' or 'O' ? 8 : 2;
            foreach (char digit in text.AsSpan(2, Math.Min(text.Length - 2, 2000)))
            {
                value = (value * radix) + (char.IsAsciiDigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
            }

            return PythonNumbers.Integer(value);
        }

        return PythonNumbers.Integer(BigInteger.Parse(text.AsSpan(0, Math.Min(text.Length, 2000)), NumberStyles.None, CultureInfo.InvariantCulture));
    }
}
